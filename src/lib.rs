pub mod gate;

pub mod accounts;

pub mod http;

pub mod clock;
