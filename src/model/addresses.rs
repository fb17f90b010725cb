//! Which of an endpoint's addresses takes the next call, and on which of its connections. No runtime, no clock: time is a
//! parameter, and what a connection is does not matter here.
//!
//! A name may stand for many servers, and one of them may be gone. Calls go to the address that runs the fewest. One that
//! could not be reached is left for a while, then tried by a single call; it is still tried where there is no other.

use std::net::SocketAddr;
use std::time::Duration;

use super::retry::backoff;

/// Addresses of one name that are used.
pub(super) const MAX_ADDRESSES: usize = 64;
/// Calls that share a connection. More would wait for each other: many servers take no more streams.
pub(super) const CALLS_PER_LANE: usize = 100;
/// A connection takes no new calls after this, so that servers that are added behind an address get their share.
const LIFETIME: Duration = Duration::from_secs(75);
/// Time for which an address that could not be reached is left, at first and at most.
const AVOID: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));

/// A connection, as far as choosing goes.
pub(super) trait Lane: Clone {
    /// Whether it takes no more calls.
    fn is_closed(&self) -> bool;
    /// Calls that it takes at a time.
    fn room(&self) -> usize;
}

/// Where a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The address.
    pub(super) address: SocketAddr,
    lane: u64,
}

/// Addresses of one endpoint.
#[derive(Debug)]
pub(super) struct Addresses<L> {
    known: Vec<Known<L>>,
    /// Where to begin looking, so that equals take turns.
    turn: usize,
    next_lane: u64,
}

#[derive(Debug)]
struct Known<L> {
    at: SocketAddr,
    lanes: Vec<Open<L>>,
    /// Calls, those on connections that take no new ones included.
    running: usize,
    /// What its last answer said of room: a new connection learns it only from the first.
    room: usize,
    /// Connections that could not be made since one could.
    failures: u32,
    /// The last of them.
    failed_lane: u64,
    avoid_until: Duration,
}

#[derive(Debug)]
struct Open<L> {
    id: u64,
    lane: L,
    since: Duration,
    heard: Duration,
    running: usize,
}

impl<L: Lane> Addresses<L> {
    /// None known.
    pub(super) fn new() -> Self {
        Self { known: Vec::new(), turn: 0, next_lane: 0 }
    }

    /// Whether none is known.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<SocketAddr> {
        self.known.iter().map(|known| known.at).collect()
    }

    /// Takes what the name stands for now. What is known of those that stay is kept; calls on others go on.
    pub(super) fn replace(&mut self, found: &[SocketAddr]) {
        self.known.retain(|known| found.contains(&known.at));
        for at in found.iter().copied() {
            if self.known.len() < MAX_ADDRESSES && !self.known.iter().any(|known| known.at == at) {
                let (lanes, room, avoid_until) = (Vec::new(), CALLS_PER_LANE, Duration::ZERO);
                self.known.push(Known { at, lanes, running: 0, room, failures: 0, failed_lane: 0, avoid_until });
            }
        }
    }

    /// Starts a call, on an address that it has not tried; nothing if it has tried all. `open` makes a connection where
    /// none has room.
    pub(super) fn choose(
        &mut self,
        now: Duration,
        tried: &[SocketAddr],
        open: impl FnOnce(SocketAddr) -> L,
    ) -> Option<(Place, L)> {
        let count = self.known.len();
        let turns = (0..count).map(|step| (self.turn + step) % count);
        let index = turns.filter(|index| !tried.contains(&self.known[*index].at)).min_by_key(|index| {
            let known = &self.known[*index];
            let avoided = known.avoid_until > now;
            (avoided, if avoided { known.avoid_until } else { Duration::ZERO }, known.running)
        })?;
        self.turn = index + 1;
        let known = &mut self.known[index];
        if known.failures > 0 {
            // One call finds out; the others go elsewhere meanwhile.
            known.avoid(now);
        }
        known.lanes.retain(|open| !open.lane.is_closed() && now.saturating_sub(open.since) < LIFETIME);
        let room = known.room;
        let with_room = known.lanes.iter().position(|open| open.running < open.lane.room().min(room).max(1));
        let lane = with_room.unwrap_or_else(|| {
            self.next_lane += 1;
            known.lanes.push(Open { id: self.next_lane, lane: open(known.at), since: now, heard: now, running: 0 });
            known.lanes.len() - 1
        });
        let open = &mut known.lanes[lane];
        open.running += 1;
        known.running += 1;
        Some((Place { address: known.at, lane: open.id }, open.lane.clone()))
    }

    /// A call ended, however.
    pub(super) fn ended(&mut self, place: Place) {
        let Some(known) = self.known(place) else { return };
        // An address may have been forgotten and found again in between.
        known.running = known.running.saturating_sub(1);
        if let Some(open) = known.lanes.iter_mut().find(|open| open.id == place.lane) {
            open.running = open.running.saturating_sub(1);
        }
    }

    /// The connection could not be made. All calls that waited for it say so; it counts once.
    pub(super) fn unreachable(&mut self, place: Place, now: Duration) {
        self.close(place);
        if let Some(known) = self.known(place).filter(|known| known.failed_lane < place.lane) {
            known.failed_lane = place.lane;
            known.failures = known.failures.saturating_add(1);
            known.avoid(now);
        }
    }

    /// The connection is made.
    pub(super) fn reached(&mut self, place: Place) {
        if let Some(known) = self.known(place) {
            known.failures = 0;
            known.avoid_until = Duration::ZERO;
        }
    }

    /// The server answered on this connection.
    pub(super) fn heard(&mut self, place: Place, now: Duration) {
        if let Some(known) = self.known(place)
            && let Some(open) = known.lanes.iter_mut().find(|open| open.id == place.lane)
        {
            open.heard = now;
            known.room = open.lane.room().min(CALLS_PER_LANE);
        }
    }

    /// A call that began then had no answer in time. If nobody was answered meanwhile on its connection, that takes no new
    /// calls: a server that vanished without a word would keep it for many minutes.
    pub(super) fn silent(&mut self, place: Place, began: Duration) {
        let silent = |open: &Open<L>| open.id == place.lane && open.heard <= began;
        if self.known(place).is_some_and(|known| known.lanes.iter().any(silent)) {
            self.close(place);
        }
    }

    /// The connection takes no new calls. Whether it did until now.
    pub(super) fn close(&mut self, place: Place) -> bool {
        let Some(known) = self.known(place) else { return false };
        let before = known.lanes.len();
        known.lanes.retain(|open| open.id != place.lane);
        known.lanes.len() < before
    }

    fn known(&mut self, place: Place) -> Option<&mut Known<L>> {
        self.known.iter_mut().find(|known| known.at == place.address)
    }
}

impl<L> Known<L> {
    fn avoid(&mut self, now: Duration) {
        self.avoid_until = now + backoff(AVOID.0, AVOID.1, self.failures.saturating_sub(1));
    }
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
