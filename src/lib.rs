pub mod store;

pub mod accounts;

pub mod http;

pub mod clock;
