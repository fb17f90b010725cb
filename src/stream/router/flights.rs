//! The requests on their way, by number. A number is never given twice, so that a late result meets no other request.

use slab::Slab;

/// Bits of a number that are a place; the rest counts on.
const PLACE: u32 = 24;

/// The requests of one life, and the numbers of all lives.
pub(super) struct Flights<T> {
    places: Slab<(u64, T)>,
    given: u64,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { places: Slab::new(), given: 0 }
    }
}

impl<T> Flights<T> {
    /// Takes a request in; its number.
    pub(super) fn insert(&mut self, flight: T) -> u64 {
        self.given += 1;
        let entry = self.places.vacant_entry();
        let id = self.given << PLACE | entry.key() as u64;
        entry.insert((id, flight));
        id
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.places.get(place(id)).filter(|(known, _)| *known == id).map(|(_, flight)| flight)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.places.get_mut(place(id)).filter(|(known, _)| *known == id).map(|(_, flight)| flight)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        self.get(id)?;
        self.places.try_remove(place(id)).map(|(_, flight)| flight)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes out all there are.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        std::mem::take(&mut self.places).into_iter().map(|(_, (_, flight))| flight).collect()
    }
}

fn place(id: u64) -> usize {
    (id & ((1 << PLACE) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_number_meets_nobody_though_the_place_is_taken_again() {
        let mut flights = Flights::default();
        let (first, second) = (flights.insert("first"), flights.insert("second"));
        assert_eq!(flights.remove(first), Some("first"));
        let third = flights.insert("third");
        assert_eq!(place(third), place(first));
        assert_eq!(flights.get(first), None);
        assert_eq!(flights.remove(first), None);
        assert!(flights.get_mut(first).is_none());
        assert_eq!((flights.get(second), flights.get(third), flights.len()), (Some(&"second"), Some(&"third"), 2));
        assert_eq!(flights.take_all().len(), 2);
        let next = flights.insert("of the next life");
        assert!(![first, second, third].contains(&next) && flights.get(second).is_none());
    }
}
