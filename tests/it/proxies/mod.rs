//! The product behind the proxies that people run, each with what `proxy-config` prints.

mod answers;
mod application;
mod attacks;
mod doctor;
mod fields;
mod h2;
mod misconfigurations;
mod programs;
mod proxy;
mod questions;
mod traefik;
mod tunnels;
mod visits;
mod web_server;

pub(crate) use application::Application;
pub(crate) use proxy::{APP, Deployment, Kind, LOGIN};
