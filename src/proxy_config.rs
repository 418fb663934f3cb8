//! Configurations for reverse proxies that let nobody through to an application whom auth_user does
//! not let in: `static/proxy/` compiled in. Writes no file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::Url;

/// A proxy that a configuration can be had for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Proxy {
    Nginx,
    Caddy,
    Haproxy,
    Traefik,
}

/// What a configuration is about.
///
/// Every text must be a [`host`], an [`upstream`] or a [`path`]: it goes into a configuration as it
/// is.
pub struct Wanted {
    /// The host of the application.
    pub app: String,
    /// Where the application listens.
    pub upstream: String,
    /// How visitors reach the login. Its port is the application's too.
    pub public_url: Url,
    /// None: the domain the application is in.
    pub cookie_domain: Option<String>,
    /// Where auth_user listens.
    pub auth: SocketAddr,
    /// Certificate chain and key. None: where they usually are.
    pub certificate: Option<(String, String)>,
}

/// A file of a configuration.
pub struct File {
    pub name: String,
    pub text: String,
}

/// The files of a configuration, the main one last where one includes the others.
///
/// # Errors
///
/// Why no session could be shared between these hosts, in one line.
pub fn files(proxy: Proxy, wanted: &Wanted) -> Result<Vec<File>, String> {
    let holes = holes(proxy, wanted)?;
    let app = wanted.app.as_str();
    let made = |name: &str, template: &str| File {
        name: name.to_owned(),
        text: fill(template, &holes),
    };
    Ok(match proxy {
        Proxy::Nginx => {
            let of = |host: &str, template: &str| {
                let redirect = plain(wanted, include_str!("../static/proxy/nginx_plain.conf"));
                let redirect = redirect.replace("{host}", host);
                fill(&template.replace("{plain}\n", &redirect), &holes)
            };
            vec![
                File {
                    name: "auth_user.conf".to_owned(),
                    text: of(
                        login_host(wanted),
                        include_str!("../static/proxy/nginx_login.conf"),
                    ),
                },
                File {
                    name: format!("{app}.conf"),
                    text: of(app, include_str!("../static/proxy/nginx_app.conf")),
                },
            ]
        }
        Proxy::Caddy => vec![made("Caddyfile", include_str!("../static/proxy/Caddyfile"))],
        Proxy::Haproxy => vec![
            made(
                "auth_user.lua",
                include_str!("../static/proxy/auth_user.lua"),
            ),
            made("haproxy.cfg", include_str!("../static/proxy/haproxy.cfg")),
        ],
        Proxy::Traefik => vec![
            made("traefik.yml", include_str!("../static/proxy/traefik.yml")),
            made(
                "dynamic.yml",
                include_str!("../static/proxy/traefik_dynamic.yml"),
            ),
        ],
    })
}

/// A host's name that means only itself in every configuration.
///
/// # Errors
///
/// Says what it should be.
pub fn host(text: &str) -> Result<String, String> {
    let host = text.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let digits = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if host.contains('.') && host.len() <= 253 && host.split('.').all(label) && !digits {
        Ok(host)
    } else {
        Err("not a host such as app.example.com".to_owned())
    }
}

/// Where an application listens: an address or a name, and a port.
///
/// # Errors
///
/// Says what it should be.
pub fn upstream(text: &str) -> Result<String, String> {
    let wrong = || "not of the form ADDR:PORT".to_owned();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address.to_string());
    }
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if named && port != 0 {
        Ok(format!("{name}:{port}"))
    } else {
        Err(wrong())
    }
}

/// The path of a file that needs no quotes in any configuration.
///
/// # Errors
///
/// Says what it should be.
pub fn path(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@".contains(&b);
    if text.starts_with('/') && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("not an absolute path of letters, digits and /._-+@".to_owned())
    }
}

/// What applications are known to believe of a proxy, taken away one by one where a proxy knows no
/// patterns.
const BELIEVED: [&str; 42] = [
    "Forwarded",
    "Proxy",
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "X-Auth-Email",
    "X-Auth-Groups",
    "X-Auth-Name",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Redirect",
    "X-Auth-Request-User",
    "X-Auth-User",
    "X-Auth-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-For",
    "X-Forwarded-Groups",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Name",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Original-Host",
    "X-Original-Method",
    "X-Original-URI",
    "X-Original-URL",
    "X-Real-IP",
    "X-Remote-User",
    "X-Rewrite-URL",
    "X-WebAuth-User",
];

/// What is taken away where a proxy knows patterns: beginnings, then whole names.
const BEGINNINGS: [&str; 6] = [
    "Remote-",
    "X-Auth-",
    "X-Forwarded-",
    "X-Original-",
    "X-Remote-",
    "X-WebAuth-",
];
const WHOLE: [&str; 4] = ["Forwarded", "Proxy", "X-Real-IP", "X-Rewrite-URL"];

/// What the proxies' own configuration sets instead of taking it away.
const SET: [&str; 7] = [
    "Remote-User",
    "Remote-Groups",
    "Remote-Name",
    "Remote-Email",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
];

fn stripped(proxy: Proxy) -> String {
    let lines: Vec<String> = match proxy {
        Proxy::Nginx => BELIEVED
            .iter()
            .filter(|name| !SET.contains(name))
            .map(|name| format!("        proxy_set_header {name} \"\";"))
            .collect(),
        Proxy::Caddy => {
            let alike = BEGINNINGS.iter().map(|name| format!("{name}*"));
            alike
                .chain(WHOLE.map(str::to_owned))
                .map(|name| format!("        request_header -{name}"))
                .collect()
        }
        Proxy::Haproxy => {
            let alike = BEGINNINGS.iter().map(|name| format!("{name} -m beg"));
            alike
                .chain(WHOLE.map(str::to_owned))
                .map(|name| format!("    http-request del-header {name}"))
                .collect()
        }
        // It sets those three anew itself, before this.
        Proxy::Traefik => BELIEVED
            .iter()
            .filter(|name| !SET[4..].contains(name))
            .flat_map(|name| spellings(name))
            .map(|name| format!("          {name}: \"\""))
            .collect(),
    };
    lines.join("\n")
}

/// A name, and as it is written to become the same variable in an application.
fn spellings(name: &str) -> Vec<String> {
    let mut both = vec![name.to_owned(), name.replace('-', "_")];
    both.dedup();
    both
}

type Holes = Vec<(&'static str, String)>;

fn holes(proxy: Proxy, wanted: &Wanted) -> Result<Holes, String> {
    let login = login_host(wanted);
    let app = wanted.app.as_str();
    let parent = app.split_once('.').map_or(app, |(_, parent)| parent);
    let domain = wanted.cookie_domain.as_deref().unwrap_or(parent);
    if wanted.public_url.scheme() != "https" {
        return Err("a session is for https only: give an https --public-url".to_owned());
    }
    host(login).map_err(|why| format!("the host of --public-url is {why}"))?;
    if login == app {
        return Err("the application and the login need two hosts".to_owned());
    }
    for host in [app, login] {
        let inside = host
            .strip_suffix(domain)
            .is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        if !inside {
            return Err(format!(
                "no session reaches {host}: it is not in the --cookie-domain {domain}"
            ));
        }
    }
    let (certificate, key) = certificate(proxy, wanted, domain);
    let tls = match wanted.certificate {
        Some(_) => format!("tls {certificate} {key}"),
        None => "# Caddy gets and renews the certificates itself.".to_owned(),
    };
    let auth = reached_at(wanted.auth);
    Ok(vec![
        ("app", app.to_owned()),
        ("app_authority", authority(app, wanted)),
        ("login_host", login.to_owned()),
        ("login_authority", authority(login, wanted)),
        (
            "public_url",
            wanted.public_url.origin().ascii_serialization(),
        ),
        ("cookie_domain", domain.to_owned()),
        ("upstream", wanted.upstream.clone()),
        ("auth", auth.to_string()),
        ("proxy_address", proxy_address(auth.ip())),
        ("port", port(wanted).to_string()),
        ("cert", certificate),
        ("key", key),
        ("tls", tls),
        ("global", global(wanted)),
        ("plain", own_plain(proxy, wanted)),
        ("stripped", stripped(proxy)),
    ])
}

/// What listens on port 80 only to send visitors to https, where https is at its usual port.
fn own_plain(proxy: Proxy, wanted: &Wanted) -> String {
    match proxy {
        Proxy::Haproxy => plain(wanted, include_str!("../static/proxy/haproxy_plain.cfg")),
        Proxy::Traefik => plain(wanted, include_str!("../static/proxy/traefik_plain.yml")),
        Proxy::Nginx | Proxy::Caddy => "",
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

/// A server that listens everywhere is asked on this machine.
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

/// Caddy takes a port from the sites, but would listen on port 80 for redirects regardless.
fn global(wanted: &Wanted) -> String {
    match port(wanted) {
        443 => String::new(),
        _ => "\n{\n    # Port 80 is left to others.\n    auto_https disable_redirects\n}\n"
            .to_owned(),
    }
}

fn certificate(proxy: Proxy, wanted: &Wanted, domain: &str) -> (String, String) {
    if let Some(given) = &wanted.certificate {
        return given.clone();
    }
    match proxy {
        Proxy::Haproxy => (format!("/etc/haproxy/{domain}.pem"), String::new()),
        _ => (
            format!("/etc/letsencrypt/live/{domain}/fullchain.pem"),
            format!("/etc/letsencrypt/live/{domain}/privkey.pem"),
        ),
    }
}

/// Fills the holes, `{name}`. No value has a brace but those that are parts of a configuration, and
/// those have no holes.
fn fill(template: &str, holes: &Holes) -> String {
    let mut text = template.to_owned();
    for (name, value) in holes {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Proxy; 4] = [Proxy::Nginx, Proxy::Caddy, Proxy::Haproxy, Proxy::Traefik];

    fn wanted(public_url: &str) -> Wanted {
        Wanted {
            app: "app.example.com".to_owned(),
            upstream: "127.0.0.1:9000".to_owned(),
            public_url: Url::parse(public_url).unwrap(),
            cookie_domain: None,
            auth: "0.0.0.0:8000".parse().unwrap(),
            certificate: None,
        }
    }

    #[test]
    fn no_hole_stays_open() {
        for proxy in ALL {
            for url in ["https://auth.example.com", "https://auth.example.com:8443"] {
                for file in files(proxy, &wanted(url)).unwrap() {
                    let hole = file.text.split('{').skip(1).find(|rest| {
                        let name = rest.split('}').next().unwrap_or_default();
                        !name.is_empty()
                            && rest.len() > name.len()
                            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                    });
                    assert_eq!(hole, None, "{proxy:?} {}", file.name);
                    assert!(file.text.lines().all(|line| line.len() <= 130));
                }
            }
        }
    }

    #[test]
    fn every_believed_field_is_taken_away_or_set() {
        for name in BELIEVED {
            let alike = BEGINNINGS.iter().any(|begin| name.starts_with(begin));
            assert!(alike || WHOLE.contains(&name), "{name}");
        }
        for proxy in [Proxy::Nginx, Proxy::Traefik] {
            let list = stripped(proxy);
            for name in BELIEVED.iter().filter(|name| !SET.contains(name)) {
                assert!(list.contains(name), "{proxy:?} {name}");
            }
        }
        assert!(stripped(Proxy::Traefik).contains("Remote_User: "));
    }

    #[test]
    fn hosts_no_session_reaches_are_refused() {
        for url in [
            "http://auth.example.com",
            "https://app.example.com",
            "https://auth.example.org",
            "https://evilexample.com",
            "https://127.0.0.1",
        ] {
            assert!(files(Proxy::Nginx, &wanted(url)).is_err(), "{url}");
        }
    }

    #[test]
    fn nothing_gets_into_a_configuration_but_names() {
        for text in [
            "", "app", "a.b;", "a.b c", "a.b{", "a.b`", "a..b", "-a.b", "a_b.c", "1.2.3.4", "a.b\n",
        ] {
            assert!(host(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            "9000",
            "a:",
            "a:0",
            "a:1;",
            "a b:1",
            "http://a:1",
            "a$b:1",
            "a\n:1",
        ] {
            assert!(upstream(text).is_err(), "{text:?}");
        }
        for text in ["", "a.pem", "/a b", "/a;", "/a{", "/a\"", "/a#", "/a\n"] {
            assert!(path(text).is_err(), "{text:?}");
        }
        assert_eq!(host("App.Example.com").unwrap(), "app.example.com");
        assert_eq!(upstream("app-1:80").unwrap(), "app-1:80");
        assert_eq!(upstream("[::1]:80").unwrap(), "[::1]:80");
    }
}
