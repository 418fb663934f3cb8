pub mod http;

pub mod clock;
