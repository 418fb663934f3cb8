//! The product in a real browser.

mod attacks;
mod far;
mod flow;
mod judged;
mod life;
mod person;
mod pictures;
mod rd;
mod stranger;
mod twice;
mod typed;
mod unseen;
