//! Tests over all pages, as a browser gets them.

#![allow(clippy::unwrap_used)]

mod content;

mod markup;

mod people;

mod samples;

mod tags;

#[cfg(feature = "browser")]
mod validity;
