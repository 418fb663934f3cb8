//! Configurations for reverse proxies that let visitors through to an application only if auth_user
//! does: `static/proxy/` compiled in. Only `output`
//! touches the disk.

mod fields;
mod mark;
mod names;
pub mod output;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use url::Url;

pub use self::names::{host, path, upstream};
use crate::accounts::token::Digest;
use crate::deployment::Proxy;
use crate::host;

/// An application; `host` is a [`host()`], `upstream` an [`upstream`].
pub struct Application {
    pub host: String,
    /// Where it listens.
    pub upstream: String,
}

/// What a configuration is about.
///
/// Every text must come from [`host()`], [`upstream`] or [`path`]: texts go into a configuration as
/// they are.
pub struct Wanted {
    /// At least one.
    pub applications: Vec<Application>,
    /// How visitors reach the login. The applications have the same port.
    pub public_url: Url,
    /// The domain in which the session is shared.
    pub cookie_domain: String,
    /// Where auth_user listens.
    pub auth: SocketAddr,
    /// Certificate chain and key; if `None`, the usual places.
    pub certificate: Option<(String, String)>,
    /// Whether this machine has IPv6; if not, a proxy that is told to use it would not start.
    pub ipv6: bool,
}

/// Whether a proxy on this machine can listen on IPv6.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// A file of a configuration.
pub struct File {
    pub name: String,
    pub text: String,
}

impl File {
    fn new(name: impl Into<String>, sign: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: mark::marked(sign, text),
        }
    }

    /// Whether this file may replace `old`: the two are the same, or this program wrote `old`, and
    /// only about applications that are among `applications`.
    pub fn may_replace(&self, old: &str, applications: &[Application]) -> bool {
        let named = |host: &&str| {
            applications
                .iter()
                .any(|application| application.host == *host)
        };
        self.text == old || mark::applications(old).is_some_and(|hosts| hosts.iter().all(named))
    }
}

/// The files of a configuration; if one includes the others, it comes last.
///
/// # Errors
///
/// Why a session could not be shared between these hosts, in one line.
pub fn files(proxy: Proxy, wanted: &Wanted) -> Result<Vec<File>, String> {
    check(wanted)?;
    let holes = holes(proxy, wanted);
    Ok(match proxy {
        Proxy::Nginx => nginx(wanted, &holes),
        Proxy::Caddy => vec![caddy(wanted, &holes)],
        Proxy::Haproxy => haproxy(wanted, &holes),
        Proxy::Traefik => traefik(wanted, &holes),
    })
}

fn caddy(wanted: &Wanted, holes: &Holes) -> File {
    let template = include_str!("../../../static/proxy/Caddyfile");
    let template = with_plain(template, Proxy::Caddy, wanted);
    let parts = [
        ("apps", include_str!("../../../static/proxy/Caddyfile_app")),
        (
            "redirects",
            "http://{app} {\n    redir https://{app}{http.request.uri} 301\n}\n",
        ),
    ];
    whole(wanted, "Caddyfile", &template, &parts, holes)
}

fn haproxy(wanted: &Wanted, holes: &Holes) -> Vec<File> {
    let lua = fill(include_str!("../../../static/proxy/auth_user.lua"), holes);
    let template = include_str!("../../../static/proxy/haproxy.cfg");
    let template = with_plain(template, Proxy::Haproxy, wanted);
    let parts = [
        (
            "hosts",
            "    acl for_app req.fhdr(host),field(1,:),lower -m str {app}\n",
        ),
        (
            "redirects",
            "    http-request redirect prefix https://{app} code 301 if { req.fhdr(host),field(1,:),lower -m str {app} }\n",
        ),
        (
            "backends",
            "    use_backend {app} if { req.fhdr(host),field(1,:),lower -m str {app} }\n",
        ),
        (
            "apps",
            include_str!("../../../static/proxy/haproxy_app.cfg"),
        ),
    ];
    vec![
        File::new("auth_user.lua", "--", &lua),
        whole(wanted, "haproxy.cfg", &template, &parts, holes),
    ]
}

fn traefik(wanted: &Wanted, holes: &Holes) -> Vec<File> {
    let fixed = fill(include_str!("../../../static/proxy/traefik.yml"), holes);
    let template = include_str!("../../../static/proxy/traefik_dynamic.yml");
    let router = include_str!("../../../static/proxy/traefik_router.yml");
    let service = include_str!("../../../static/proxy/traefik_service.yml");
    let parts = [("routers", router), ("services", service)];
    vec![
        File::new("traefik.yml", "#", &fixed),
        whole(wanted, "dynamic.yml", template, &parts, holes),
    ]
}

/// A file about all applications; `parts` fills its holes, once for each application.
fn whole(
    wanted: &Wanted,
    name: &str,
    template: &str,
    parts: &[(&str, &str)],
    holes: &Holes,
) -> File {
    let named: String = wanted.applications.iter().map(named).collect();
    let mut text = template.to_owned();
    for (hole, part) in parts {
        let each = wanted.applications.iter();
        let filled: String = each
            .map(|application| about(application, wanted, part))
            .collect();
        text = text.replace(&format!("{{{hole}}}\n"), &filled);
    }
    File::new(name, "#", &(named + &fill(&text, holes)))
}

/// nginx gets one file for the login and one for each application.
fn nginx(wanted: &Wanted, holes: &Holes) -> Vec<File> {
    let of = |host: &str, template: &str| {
        let redirect = plain(
            wanted,
            include_str!("../../../static/proxy/nginx_plain.conf"),
        );
        let text = template.replace("{plain}\n", &redirect.replace("{host}", host));
        let text = text.replace("{server_name}", &server_name(host));
        fill(&text, holes)
    };
    let login = include_str!("../../../static/proxy/nginx_login.conf");
    let login = File::new("auth_user.conf", "#", &of(login_host(wanted), login));
    let apps = wanted.applications.iter().map(|application| {
        let template = include_str!("../../../static/proxy/nginx_app.conf");
        let template = about(application, wanted, template);
        let text = named(application) + &of(&application.host, &template);
        File::new(file_name(&application.host), "#", &text)
    });
    [login].into_iter().chain(apps).collect()
}

fn named(application: &Application) -> String {
    mark::application("#", &application.host, &application.upstream)
}

/// Fills the holes that differ by application.
fn about(application: &Application, wanted: &Wanted, template: &str) -> String {
    let holes = vec![
        ("app", application.host.clone()),
        ("app_authority", authority(&application.host, wanted)),
        ("upstream", application.upstream.clone()),
    ];
    fill(template, &holes)
}

/// Names up to this length fit into the table of names that nginx makes by default. Only the
/// operator's own configuration may make that table larger.
const MAX_SERVER_NAME: usize = 40;

fn server_name(host: &str) -> String {
    if host.len() <= MAX_SERVER_NAME {
        host.to_owned()
    } else {
        format!("\"~^{}$\"", host.replace('.', "\\."))
    }
}

/// Longest name of a file, in bytes, on the file systems of Linux.
const MAX_FILE_NAME: usize = 255;

fn file_name(host: &str) -> String {
    let name = format!("{host}.conf");
    if name.len() <= MAX_FILE_NAME {
        return name;
    }
    // The part that is cut off may be what tells two names apart.
    let digest = Digest::of(host).short();
    let rest = MAX_FILE_NAME - digest.len() - "_.conf".len();
    let begin = host.get(..rest).unwrap_or(host);
    format!("{begin}_{digest}.conf")
}

/// Whether a session reaches all hosts, and only over TLS.
fn check(wanted: &Wanted) -> Result<(), String> {
    let login = login_host(wanted);
    if wanted.public_url.scheme() != "https" {
        return Err("a session is for https only: give an https --public-url".to_owned());
    }
    host(login).map_err(|why| format!("the host of --public-url is {why}"))?;
    let hosts = wanted
        .applications
        .iter()
        .map(|application| application.host.as_str());
    for (at, host) in hosts.clone().enumerate() {
        if host == login {
            return Err(format!(
                "{host} is the login's: an application needs a host of its own"
            ));
        }
        if hosts.clone().take(at).any(|other| other == host) {
            return Err(format!(
                "two applications at {host}: each --app needs a host of its own"
            ));
        }
    }
    let domain = &wanted.cookie_domain;
    for host in hosts.chain([login]) {
        if !host::is_inside(host, domain) {
            return Err(format!(
                "no session of {domain} reaches {host}: name a domain that all hosts are in with --cookie-domain"
            ));
        }
    }
    Ok(())
}

type Holes = Vec<(&'static str, String)>;

fn holes(proxy: Proxy, wanted: &Wanted) -> Holes {
    let login = login_host(wanted);
    let (certificate, key) = certificate(proxy, wanted);
    let tls = match wanted.certificate {
        Some(_) => format!("tls {certificate} {key}"),
        None => "# Caddy gets and renews the certificates itself.".to_owned(),
    };
    let auth = reached_at(wanted.auth);
    let ipv6 = if wanted.ipv6 { "" } else { "# " };
    let mut holes = vec![
        ("login_host", login.to_owned()),
        ("login_authority", authority(login, wanted)),
        (
            "public_url",
            wanted.public_url.origin().ascii_serialization(),
        ),
        ("cookie_domain", wanted.cookie_domain.clone()),
        ("auth", auth.to_string()),
        ("proxy_address", proxy_address(auth.ip())),
        ("plain", own_plain(proxy, wanted)),
        ("port", port(wanted).to_string()),
        ("ipv6", ipv6.to_owned()),
        ("cert", certificate),
        ("key", key),
        ("tls", tls),
        ("global", global(wanted)),
    ];
    holes.extend(fields::holes(proxy));
    holes
}

/// The template with the part that listens on port 80 in it. That part names the applications too,
/// so its holes are filled together with the others.
fn with_plain(template: &str, proxy: Proxy, wanted: &Wanted) -> String {
    template.replace("{plain}", &own_plain(proxy, wanted))
}

/// The part that listens on port 80 only to send visitors to https; there is none unless https is
/// on its usual port.
fn own_plain(proxy: Proxy, wanted: &Wanted) -> String {
    match proxy {
        Proxy::Caddy => plain(
            wanted,
            include_str!("../../../static/proxy/Caddyfile_plain"),
        ),
        Proxy::Haproxy => plain(
            wanted,
            include_str!("../../../static/proxy/haproxy_plain.cfg"),
        ),
        Proxy::Traefik => plain(
            wanted,
            include_str!("../../../static/proxy/traefik_plain.yml"),
        ),
        Proxy::Nginx => "",
    }
    .to_owned()
}

fn plain(wanted: &Wanted, template: &'static str) -> &'static str {
    if port(wanted) == 443 { template } else { "" }
}

fn login_host(wanted: &Wanted) -> &str {
    wanted.public_url.host_str().unwrap_or_default()
}

fn port(wanted: &Wanted) -> u16 {
    wanted.public_url.port_or_known_default().unwrap_or(443)
}

fn authority(host: &str, wanted: &Wanted) -> String {
    match port(wanted) {
        443 => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}

/// Where a proxy on this machine reaches a server: on loopback, if the server listens on all
/// addresses.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn proxy_address(auth: IpAddr) -> String {
    if auth.is_loopback() {
        auth.to_string()
    } else {
        "ADDRESS-OF-THIS-PROXY".to_owned()
    }
}

/// Caddy takes its port from the sites, but would still listen on port 80 for redirects.
fn global(wanted: &Wanted) -> String {
    match port(wanted) {
        443 => String::new(),
        _ => "\n{\n    # Port 80 is left to others.\n    auto_https disable_redirects\n}\n"
            .to_owned(),
    }
}

fn certificate(proxy: Proxy, wanted: &Wanted) -> (String, String) {
    if let Some(given) = &wanted.certificate {
        return given.clone();
    }
    let domain = &wanted.cookie_domain;
    match proxy {
        Proxy::Haproxy => (format!("/etc/haproxy/{domain}.pem"), String::new()),
        _ => (
            format!("/etc/letsencrypt/live/{domain}/fullchain.pem"),
            format!("/etc/letsencrypt/live/{domain}/privkey.pem"),
        ),
    }
}

/// Fills the holes, `{name}`. The only values with braces are parts of a configuration; they are
/// filled in before the values for their own holes.
fn fill(template: &str, holes: &Holes) -> String {
    let mut text = template.to_owned();
    for (name, value) in holes {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

#[cfg(test)]
mod tests;
