pub mod pages;

pub mod http;

pub mod clock;
