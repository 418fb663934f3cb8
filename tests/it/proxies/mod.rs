//! The product behind the proxies that people run, each with what `proxy-config` prints.

mod application;
mod attacks;
mod doctor;
mod proxy;
mod traefik;
mod visits;

pub(crate) use application::Application;
pub(crate) use proxy::{Deployment, Kind};
