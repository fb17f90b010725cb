//! How the process ends.

/// What an exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Wrong usage of the command line.
    Usage = 64,
    /// Bad input data.
    Data = 65,
    /// A needed service is unavailable.
    Unavailable = 69,
    /// Gave up after restarts, or stuck.
    GaveUp = 70,
    /// Wrong configuration.
    Configuration = 78,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as u8
    }
}
