//! The product in a real browser.

mod attacks;
mod life;
mod pictures;
mod rd;
mod stranger;
mod typed;
