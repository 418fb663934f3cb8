pub mod commands;

pub mod config;

pub mod proxy_config;

pub mod doctor;

pub mod front;

pub mod server;

pub mod handlers;

pub mod errands;

pub mod cookies;

pub mod redirect;

pub mod reply;

pub mod pages;

pub mod mail;

pub mod form;

pub mod store;

pub mod results;

pub mod gate;

pub mod access;

pub mod accounts;

pub mod http;

pub mod durable;

pub mod rights;

pub mod log;

pub mod clock;

pub mod memory;

pub mod terminal;

pub mod trust;

pub mod origin;

pub mod fields;

pub mod as_typed;
