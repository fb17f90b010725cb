//! Finds values below the top of a document: elements of an array, and members of members.
//!
//! Each step scans the value it goes into once more. Places are those in the whole document.

use std::ops::Range;

use super::{Root, SyntaxError, members, walk};

/// Where the elements stand if the document is an array, shown in order. Elements may have been shown before a fault is
/// found.
pub fn items(body: &[u8], mut visit: impl FnMut(Range<usize>)) -> Result<Root, SyntaxError> {
    walk(body, |element, object| {
        if !object {
            visit(element.value);
        }
    })
}

/// Where the first element stands, if the document is an array that has one.
pub fn first(body: &[u8]) -> Result<Option<Range<usize>>, SyntaxError> {
    let mut found = None;
    items(body, |element| {
        found.get_or_insert(element);
    })?;
    Ok(found)
}

/// Where the value at the end of these names stands, each the last member of that name in the object before it.
///
/// Nothing if a name is missing, or if what should hold it is no object.
pub fn path(body: &[u8], names: &[&str]) -> Result<Option<Range<usize>>, SyntaxError> {
    let mut place = 0..body.len();
    for name in names {
        let (_, [member]) = members(&body[place.clone()], [name]).map_err(|error| shifted(error, place.start))?;
        let Some(member) = member else { return Ok(None) };
        place = place.start + member.value.start..place.start + member.value.end;
    }
    Ok(Some(place))
}

fn shifted(error: SyntaxError, by: usize) -> SyntaxError {
    SyntaxError { at: error.at + by, ..error }
}
