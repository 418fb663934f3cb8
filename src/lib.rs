pub mod config;

pub mod form;

pub mod redirect;

pub mod gate;

pub mod accounts;

pub mod http;

pub mod clock;
