//! Half a configuration: settings that cannot work without others that are missing.

use ipnet::IpNet;
use url::{Host, Url};

use crate::config::told::Told;
use crate::config::{Config, is_local};
use crate::host;

/// Which settings will not do what they were given for, one line each: first what is wrong, then
/// what to do.
pub(super) fn half_done(config: &Config, told: &Told) -> Vec<String> {
    let rules = [
        forward_auth,
        foreign_domain,
        unproxied,
        unknown_outside,
        clear_url,
        everybody_trusted,
        nobody_writes,
        unused_pair,
        endless_idle,
        short_stay,
        shown_metrics,
        unheard,
    ];
    rules.iter().filter_map(|rule| rule(config, told)).collect()
}

/// Who can register if nobody said so and sub-domains share the session.
pub(super) fn invited(config: &Config, told: &Told) -> Option<String> {
    config.cookie_domain.as_ref()?;
    Some(format!(
        "with {}, strangers cannot register, since an account opens other applications; {} lets \
         them",
        told.name("--cookie-domain"),
        match told.name("--cookie-domain") {
            "--cookie-domain" => "--registration open",
            _ => "AUTH_REGISTRATION=open (--registration open)",
        }
    ))
}

fn shown_metrics(config: &Config, told: &Told) -> Option<String> {
    let address = config.metrics.filter(|address| !is_local(*address))?;
    Some(format!(
        "{} shows everybody who can reach that address how many accounts, logins and mails there \
         are; let a firewall keep strangers away, or give a port alone",
        told.with("--metrics", &address.to_string())
    ))
}

fn unheard(config: &Config, told: &Told) -> Option<String> {
    let is_unheard = config.handed > 0 && told.is_given("listen");
    is_unheard.then(|| {
        format!(
            "{} is ignored: whoever started this process has handed it sockets to serve on",
            told.name("--listen")
        )
    })
}

fn forward_auth(config: &Config, told: &Told) -> Option<String> {
    let domain = told.name("--cookie-domain");
    (config.cookie_domain.is_some() && config.trusted_proxies.is_empty()).then(|| {
        format!(
            "{domain} without {} protects no application: what a proxy asks is refused; name the \
             proxy's address there",
            sibling(
                told,
                "--cookie-domain",
                "--trusted-proxy",
                "AUTH_TRUSTED_PROXIES"
            )
        )
    })
}

fn foreign_domain(config: &Config, told: &Told) -> Option<String> {
    let domain = config.cookie_domain.as_deref()?;
    let host = host(config);
    (!host::is_inside(host, domain)).then(|| {
        format!(
            "nobody can log in: browsers refuse a cookie for {domain:?} from {host:?}, which is \
             not in it; give {} an address in {}",
            sibling(told, "--cookie-domain", "--public-url", "AUTH_PUBLIC_URL"),
            told.with("--cookie-domain", domain),
        )
    })
}

fn unproxied(config: &Config, told: &Told) -> Option<String> {
    (!config.tls && config.trusted_proxies.is_empty()).then(|| {
        format!(
            "{} without {} counts all visitors behind a proxy as one, who share its limits; name \
             the proxy's address there",
            told.name("--no-tls"),
            sibling(told, "--no-tls", "--trusted-proxy", "AUTH_TRUSTED_PROXIES")
        )
    })
}

fn unknown_outside(config: &Config, told: &Told) -> Option<String> {
    let asked = !config.trusted_proxies.is_empty() || config.smtp.is_some();
    let cause = match config.trusted_proxies.is_empty() {
        true => mail_server(told),
        false => "--trusted-proxy",
    };
    (asked && config.public_url.is_none()).then(|| {
        format!(
            "{} without {} lets mails and redirects lead to https://localhost; say there how \
             visitors reach this server",
            told.name(cause),
            sibling(told, cause, "--public-url", "AUTH_PUBLIC_URL")
        )
    })
}

/// Browsers do not keep a cookie that asks for TLS from a site without TLS, except on the machine
/// itself.
fn clear_url(config: &Config, told: &Told) -> Option<String> {
    let url = config.public_url.as_ref()?;
    let local = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    (url.scheme() == "http" && !local).then(|| {
        format!(
            "nobody can log in at {}: browsers keep the session's cookie on https only; give the \
             https address",
            told.with("--public-url", url.as_str().trim_end_matches('/'))
        )
    })
}

fn everybody_trusted(config: &Config, told: &Told) -> Option<String> {
    let all = config
        .trusted_proxies
        .iter()
        .find(|network| network.prefix_len() == 0)?;
    Some(format!(
        "{} lets everybody say which address they come from, and who they are behind; name the \
         proxy's address alone",
        told.with("--trusted-proxy", &IpNet::to_string(all))
    ))
}

/// The setting that names the mail server.
fn mail_server(told: &Told) -> &'static str {
    match told.is_given("smtp") {
        true => "--smtp",
        false => "--smtp-file",
    }
}

fn nobody_writes(config: &Config, told: &Told) -> Option<String> {
    let cause = mail_server(told);
    (config.smtp.is_some() && !told.is_given("mail_from")).then(|| {
        format!(
            "{} without {} sends mails from auth_user@localhost, which mail servers refuse; give \
             an address of yours there",
            told.name(cause),
            sibling(told, cause, "--mail-from", "AUTH_MAIL_FROM")
        )
    })
}

fn unused_pair(config: &Config, told: &Told) -> Option<String> {
    let unused = [("--cert", "cert"), ("--key", "key")]
        .into_iter()
        .find(|(_, id)| told.is_given(id))?;
    (!config.tls).then(|| {
        let (no_tls, pair) = (told.name("--no-tls"), told.name(unused.0));
        format!("{pair} is not used with {no_tls}: the proxy has the certificate; leave one out")
    })
}

fn endless_idle(config: &Config, told: &Told) -> Option<String> {
    let limits = config.session_limits;
    let text = |duration| humantime::format_duration(duration).to_string();
    (limits.idle > limits.max && told.is_given("session_idle")).then(|| {
        format!(
            "{} never counts, since every session is over after {}; raise {}",
            told.with("--session-idle", &text(limits.idle)),
            text(limits.max),
            sibling(told, "--session-idle", "--session-max", "AUTH_SESSION_MAX")
        )
    })
}

fn short_stay(config: &Config, told: &Told) -> Option<String> {
    let limits = config.session_limits;
    let text = |duration| humantime::format_duration(duration).to_string();
    (!limits.remember.is_zero() && limits.remember < limits.max).then(|| {
        format!(
            "{} is shorter than a session may last anyway, {}: who chooses to stay logged in is \
             logged out earlier; make it longer, or 0 to show no such box",
            told.with("--remember", &text(limits.remember)),
            text(limits.max),
        )
    })
}

/// The missing setting, named in the same way as the given one: as a flag or as a variable.
fn sibling<'a>(told: &Told, given: &str, flag: &'a str, variable: &'a str) -> &'a str {
    if told.name(given) == given {
        flag
    } else {
        variable
    }
}

fn host(config: &Config) -> &str {
    let host = config.public_url.as_ref().and_then(Url::host_str);
    host.unwrap_or("localhost")
}
