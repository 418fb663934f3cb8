pub mod mail;

pub mod http;

pub mod clock;
