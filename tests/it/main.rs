//! What the product promises, asked of the real program over TLS.

#![allow(clippy::unwrap_used)]

mod access;
mod acts;
mod as_typed;
#[cfg(feature = "browser")]
mod browser;
mod by_hand;
#[cfg(feature = "faults")]
mod clocks;
mod compat;
mod crowd;
mod damaged;
mod doctor;
#[cfg(feature = "faults")]
mod ending;
#[cfg(feature = "faults")]
mod faults;
mod folder;
mod forward_auth;
mod framing;
mod harness;
mod layers;
mod life;
mod line;
mod log;
#[cfg(feature = "long")]
mod long;
mod machine;
mod mail;
mod notices;
mod one_account;
mod operator;
mod order;
mod outcomes;
mod owners;
mod pages;
#[cfg(feature = "proxies")]
mod proxies;
mod proxy_config;
mod records;
mod restart;
mod rules;
mod same_answer;
mod sent_twice;
mod slow;
mod start;
mod throttling;
mod transport;
mod unasked;
mod unread;
mod users_file;
