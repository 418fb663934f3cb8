pub mod front;

pub mod server;

pub mod http;

pub mod clock;
