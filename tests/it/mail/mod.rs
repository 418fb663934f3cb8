//! Mail: what is sent, to whom, and how much of it.

mod limits;
mod sent;
