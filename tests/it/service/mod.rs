//! The program as a service: what it tells those who watch over it, and how one process takes over
//! from another.

mod handed;
mod health;
mod metrics;
#[cfg(feature = "makers")]
mod packaged;
mod scrape;

use scrape::Scraped;
