//! Guessing at passwords and codes: what stops it, and whom it does not stop.

mod hashing_line;
mod limits;
mod owners_meanwhile;
