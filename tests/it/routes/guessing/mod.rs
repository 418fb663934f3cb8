//! Guessing at passwords and codes: what stops it, and whom it does not stop.

pub(super) mod hashing_line;
mod limits;
mod owners_meanwhile;
