//! The program as its operator meets it: how it starts, what it says, and how it ends.

mod cannot_start;
mod doctor;
mod flags;
#[cfg(feature = "faults")]
mod hanging_end;
mod log;
mod log_unread;
mod logo;
mod proxy_config;
#[cfg(feature = "faults")]
mod start_refused_by_system;
#[cfg(feature = "faults")]
mod wrong_clock;
