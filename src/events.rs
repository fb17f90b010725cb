//! Noteworthy happenings: one function each, which logs and counts.
