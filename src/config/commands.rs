//! What the program does beside serving.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use crate::config::{address, domain, origin};
use crate::doctor::Patient;
use crate::proxy_config::{self, Proxy, Wanted};

#[derive(Subcommand)]
pub enum Command {
    /// Print a proxy's configuration that protects an application
    ProxyConfig(ProxyConfig),
    /// Attack your own deployment through its proxy, and say what to change
    Doctor(Doctor),
}

/// Sends a few harmless requests to the host named and to nobody else. The exit status is 0 if
/// nothing failed, 1 if something did, and 2 if this was called wrongly.
#[derive(Args)]
pub struct Doctor {
    /// The application as its visitors reach it
    #[arg(value_name = "URL", value_parser = origin)]
    url: Url,

    /// A root certificate to trust beside those of this machine, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// A file with the session cookie's value of a test account that may enter
    #[arg(long, value_name = "FILE")]
    pub cookie_file: Option<PathBuf>,

    /// A file with the value of a session that has been logged out
    #[arg(long, value_name = "FILE")]
    pub old_cookie_file: Option<PathBuf>,

    /// The port the application listens on, where strangers must not reach it
    #[arg(long, value_name = "PORT")]
    upstream_port: Option<u16>,

    /// Where the host is, in place of what its name says
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    connect: Option<SocketAddr>,
}

impl Doctor {
    /// Whom to examine; the files are still to be read.
    ///
    /// # Errors
    ///
    /// The URL is not one of an application's, in one line.
    pub fn patient(&self) -> Result<Patient, String> {
        if self.url.scheme() != "https" {
            return Err("the doctor looks at https only".to_owned());
        }
        Ok(Patient {
            host: self.url.host_str().unwrap_or_default().to_owned(),
            port: self.url.port_or_known_default().unwrap_or(443),
            connect: self.connect,
            roots: None,
            cookie: None,
            old_cookie: None,
            upstream_port: self.upstream_port,
        })
    }
}

/// Prints a complete configuration: one login for an application that has none of its own.
#[derive(Args)]
pub struct ProxyConfig {
    /// Which proxy
    proxy: Known,

    /// The host of the application
    #[arg(long, value_name = "HOST", value_parser = proxy_config::host)]
    app: String,

    /// Where the application listens
    #[arg(long, value_name = "ADDR:PORT", value_parser = proxy_config::upstream)]
    upstream: String,

    /// How visitors reach the login [default: auth.DOMAIN of the application's, by https]
    #[arg(long, env = "AUTH_PUBLIC_URL", value_name = "URL", value_parser = origin)]
    public_url: Option<Url>,

    /// The domain the session is shared in [default: the application's]
    #[arg(long, env = "AUTH_COOKIE_DOMAIN", value_name = "DOMAIN", value_parser = domain)]
    cookie_domain: Option<String>,

    /// Where auth_user listens [default: 127.0.0.1:8000]
    #[arg(long, env = "AUTH_LISTEN", value_name = "ADDR:PORT", value_parser = address)]
    listen: Option<SocketAddr>,

    /// The proxy's certificate, PEM, chain first; for HAProxy with the key
    #[arg(long, value_name = "PATH", value_parser = proxy_config::path)]
    cert: Option<String>,

    /// Its key, PEM [default: in the same file]
    #[arg(long, value_name = "PATH", value_parser = proxy_config::path, requires = "cert")]
    key: Option<String>,

    /// Write the files here instead of printing them
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Known {
    Nginx,
    Caddy,
    Haproxy,
    Traefik,
}

impl ProxyConfig {
    /// # Errors
    ///
    /// Why these values do not go together, in one line.
    pub fn files(&self) -> Result<Vec<proxy_config::File>, String> {
        let proxy = match self.proxy {
            Known::Nginx => Proxy::Nginx,
            Known::Caddy => Proxy::Caddy,
            Known::Haproxy => Proxy::Haproxy,
            Known::Traefik => Proxy::Traefik,
        };
        let parent = self.app.split_once('.').map_or("", |(_, parent)| parent);
        let domain = self.cookie_domain.as_deref().unwrap_or(parent);
        let public_url = match &self.public_url {
            Some(url) => url.clone(),
            None => origin(&format!("https://auth.{domain}"))?,
        };
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
        let key = self.key.clone().or_else(|| self.cert.clone());
        let wanted = Wanted {
            app: self.app.clone(),
            upstream: self.upstream.clone(),
            public_url,
            cookie_domain: self.cookie_domain.clone(),
            auth: self.listen.unwrap_or(local),
            certificate: self.cert.clone().zip(key),
        };
        proxy_config::files(proxy, &wanted)
    }
}
