//! The applications behind a proxy that asks this program who may enter: the proxy's configuration,
//! and a doctor that looks for holes in the deployment. Sees no account.

pub mod doctor;
pub mod proxy_config;

use std::fmt;

use clap::ValueEnum;

/// A proxy for which there is a configuration.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Proxy {
    Nginx,
    Caddy,
    Haproxy,
    Traefik,
}

impl fmt::Display for Proxy {
    /// The name, as the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
