//! A small login server: registration, login with a second factor and recovery over TLS, and the
//! answers to proxies that ask whether a visitor may enter an application.
//!
//! # Layers
//!
//! The modules below are listed from the outermost to the innermost, and a module uses only those
//! listed below it; a test checks that. `site` joins them for `main`: `front` is given one function,
//! from a request to a response, and everything about users is behind it.
//!
//! - [`commands`]: what the program does besides serving.
//! - [`site`]: everything that is opened to serve, and closed at the end.
//! - [`config`]: what the program was told.
//! - [`operator`]: what operators do to accounts, on the same files as a server that may be running.
//! - [`deployment`]: a proxy's configuration, and the doctor who looks for holes in it. It never
//!   sees an account.
//! - [`front`], [`server`]: sockets, TLS, threads and deadlines; bytes from strangers end here. Both
//!   know no users and no pages.
//! - [`handlers`], [`errands`], [`cookies`], [`redirect`]: every route, and what is done after its
//!   answer. A handler parses, decides and responds; it knows no socket, file, lock, clock or
//!   status number.
//! - [`reply`], [`pages`]: every outcome with its status and words; as a page, JSON or text. They
//!   decide nothing.
//! - [`mail`], [`form`], [`events`], [`health`], [`store`]: the outbox, what visitors send, what
//!   happened to whom, whether the next change could be saved, and what outlives the process. They
//!   know no routes and no pages.
//! - [`results`], [`gate`]: where attempts wait, and the threads that hash passwords.
//! - [`access`], [`accounts`]: the rules, pure: no file, no clock, no socket.
//! - [`metrics`]: what everything above counts, and the small server that shows it.
//! - [`http`] and below: small things that everything above may use, each the only owner of
//!   something outside, such as the time of day, or of a plain type.
//!
//! # The way of a request
//!
//! `front` makes the TLS handshake, reads a request into bounded memory and checks that it can be
//! read in one way only. It passes on the fields that the site reads, with the client's address,
//! through a private tiny_http server, and `server` receives the request in the same thread. There
//! `handlers` finds the route, which parses its form, asks the counts whether it comes too early (the
//! throttle in `accounts` has the rules), has a password checked at the `gate`, and gives `store` a
//! change as one closure. `store` runs that and saves its result before the handler goes on. `reply` turns the outcome into a response, and the
//! thread writes it to the client. Mail is left to `errands`, for which no answer waits.
//!
//! # Invariants
//!
//! - tiny_http never reads from a network socket.
//! - A handler never sees a socket, a file, a lock, the time or a status number.
//! - No type that can hold a password, code, key or token has `Debug`.
//! - No text reaches a page except through `pages::fill`. One script exists, in the pages that offer
//!   passkeys, and no page needs it.
//! - No lock is held while hashing, mailing or writing to a client.
//! - No answer is sent before its change is on disk.
//! - Nothing in a mail or redirect comes from the `Host` field.
//! - No table grows without bound with what strangers send.

pub mod commands;

pub mod site;

pub mod config;

pub mod operator;

pub mod deployment;

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

pub mod events;

pub mod health;

pub mod store;

pub mod results;

pub mod gate;

pub mod access;

pub mod accounts;

pub mod metrics;

pub mod http;

pub mod rejection;

pub mod owner;

pub mod durable;

pub mod folder;

pub mod rights;

pub mod log;

pub mod clock;

pub mod memory;

pub mod terminal;

pub mod trust;

pub mod network;

pub mod host;

pub mod fields;

pub mod as_typed;
