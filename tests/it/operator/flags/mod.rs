//! The flags and the variables, all of them.

mod listed;
mod refused;
mod taken;

/// The contract's table: flag, value, variable, default.
pub(super) const FLAGS: [(&str, &str, &str, &str); 24] = [
    ("--listen", "<ADDR:PORT>", "AUTH_LISTEN", "0.0.0.0:8000"),
    ("--users", "<PATH>", "AUTH_USERS", "users.json"),
    ("--store", "<URL>", "AUTH_STORE", ""),
    ("--store-file", "<PATH>", "AUTH_STORE_FILE", ""),
    ("--store-key", "<PATH>", "AUTH_STORE_KEY", ""),
    ("--cert", "<PATH>", "AUTH_CERT", "server.crt"),
    ("--key", "<PATH>", "AUTH_KEY", "server.key"),
    ("--no-tls", "", "AUTH_NO_TLS", ""),
    (
        "--public-url",
        "<URL>",
        "AUTH_PUBLIC_URL",
        "https://localhost:PORT",
    ),
    ("--cookie-domain", "<DOMAIN>", "AUTH_COOKIE_DOMAIN", ""),
    ("--trusted-proxy", "<CIDR>", "AUTH_TRUSTED_PROXIES", ""),
    ("--smtp", "<URL>", "AUTH_SMTP", ""),
    ("--smtp-file", "<PATH>", "AUTH_SMTP_FILE", ""),
    (
        "--mail-from",
        "<ADDRESS>",
        "AUTH_MAIL_FROM",
        "auth_user@localhost",
    ),
    (
        "--issuer",
        "<NAME>",
        "AUTH_ISSUER",
        "host of the public URL",
    ),
    ("--session-idle", "<DURATION>", "AUTH_SESSION_IDLE", "1h"),
    ("--session-max", "<DURATION>", "AUTH_SESSION_MAX", "24h"),
    ("--remember", "<DURATION>", "AUTH_REMEMBER", "30d"),
    (
        "--registration",
        "<REGISTRATION>",
        "AUTH_REGISTRATION",
        "open; invited with --cookie-domain",
    ),
    (
        "--registrations-per-hour",
        "<N>",
        "AUTH_REGISTRATIONS_PER_HOUR",
        "60",
    ),
    ("--events-kept", "<DURATION>", "AUTH_EVENTS_KEPT", "90d"),
    ("--compat", "", "AUTH_COMPAT", ""),
    ("--metrics", "<[ADDR:]PORT>", "AUTH_METRICS", ""),
    ("--log", "<LOG>", "AUTH_LOG", "text"),
];

fn variable_of(flag: &str) -> &'static str {
    FLAGS.iter().find(|(name, ..)| *name == flag).unwrap().2
}
