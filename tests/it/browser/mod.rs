//! The product in a real browser.

mod attacks;
mod flow;
mod judged;
mod life;
mod person;
mod pictures;
mod rd;
mod stranger;
mod typed;
