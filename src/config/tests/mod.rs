mod rules;
mod variables;

use std::collections::BTreeMap;

use clap::CommandFactory as _;

use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn told(arguments: &[&str], variables: Variables<'_>) -> Result<Told, Refused> {
    let arguments = ["auth_user"].iter().chain(arguments).map(OsString::from);
    let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Told::read(arguments, |name| variables.get(name).map(OsString::from))
}

fn read_with(arguments: &[&str], variables: Variables<'_>) -> Result<Config, Refused> {
    match told(arguments, variables)? {
        Told::Serve(config) => Ok(*config),
        Told::Do(..) | Told::Check(_) => panic!("a command was read"),
    }
}

fn read(arguments: &[&str]) -> Config {
    read_with(arguments, &[]).ok().unwrap()
}

/// What is wrong and the hint of a refusal, each of them one line.
fn wrong_with(arguments: &[&str], variables: Variables<'_>) -> (String, String) {
    match told(arguments, variables) {
        Err(Refused::Wrong { what, hint }) => {
            assert!(what.lines().count() == 1, "{what}");
            assert!(hint.lines().count() == 1, "{hint}");
            (what, hint)
        }
        _ => panic!("{arguments:?} {variables:?} was taken"),
    }
}

fn wrong(arguments: &[&str]) -> (String, String) {
    wrong_with(arguments, &[])
}

/// Each flag that takes a value, its variable, a value that does not parse, and one that does.
const VALUES: [(&str, &str, &str, &str); 17] = [
    ("--listen", "AUTH_LISTEN", "nowhere", "127.0.0.1:1"),
    ("--metrics", "AUTH_METRICS", "70000", ":9100"),
    ("--users", "AUTH_USERS", "", "data/users.json"),
    ("--cert", "AUTH_CERT", "", "site.crt"),
    ("--key", "AUTH_KEY", "", "site.key"),
    (
        "--public-url",
        "AUTH_PUBLIC_URL",
        "ftp://x",
        "https://a.example",
    ),
    (
        "--cookie-domain",
        "AUTH_COOKIE_DOMAIN",
        "com",
        "example.com",
    ),
    (
        "--trusted-proxy",
        "AUTH_TRUSTED_PROXIES",
        "10.0.0.0/33",
        "10.0.0.0/8",
    ),
    (
        "--smtp",
        "AUTH_SMTP",
        "https://u:hunter2@h",
        "smtps://u:hunter2@h.example",
    ),
    ("--mail-from", "AUTH_MAIL_FROM", "nobody", "me@example.com"),
    ("--issuer", "AUTH_ISSUER", "a:b", "Door"),
    ("--session-idle", "AUTH_SESSION_IDLE", "soon", "5m"),
    ("--session-max", "AUTH_SESSION_MAX", "0s", "2h"),
    ("--remember", "AUTH_REMEMBER", "401d", "0"),
    (
        "--registrations-per-hour",
        "AUTH_REGISTRATIONS_PER_HOUR",
        "-1",
        "7",
    ),
    ("--events-kept", "AUTH_EVENTS_KEPT", "soon", "0"),
    ("--log", "AUTH_LOG", "xml", "json"),
];

#[test]
fn the_flags_are_sound() {
    Flags::command().debug_assert();
}

#[test]
fn what_is_wrong_is_said_with_an_example_by_the_name_it_was_given() {
    for (flag, variable, bad, good) in VALUES {
        let (what, hint) = wrong(&[&format!("{flag}={bad}")]);
        assert!(what.contains(flag) && !what.contains("AUTH_"), "{what}");
        assert!(hint.contains(&format!("for instance {flag} ")), "{hint}");
        assert!(!what.contains("hunter2"), "{what}");
        assert!(
            read_with(&[&format!("{flag}={good}")], &[]).is_ok(),
            "{flag}"
        );
        // An empty variable counts as not set.
        if !bad.is_empty() {
            let (what, hint) = wrong_with(&[], &[(variable, bad)]);
            assert!(what.contains(variable) && !what.contains("--"), "{what}");
            assert!(
                hint.contains(&format!("for instance {variable}=")),
                "{hint}"
            );
            assert!(!what.contains("hunter2"), "{what}");
        }
        assert!(read_with(&[], &[(variable, good)]).is_ok(), "{variable}");
    }
    for variable in ["AUTH_NO_TLS", "AUTH_COMPAT"] {
        let (what, hint) = wrong_with(&[], &[(variable, "perhaps")]);
        assert!(
            what.contains(variable) && what.contains("\"perhaps\""),
            "{what}"
        );
        assert_eq!(hint, format!("for instance {variable}=true"));
    }
}

#[test]
fn every_example_is_taken() {
    let command = Flags::command();
    let visible = command.get_arguments().filter_map(clap::Arg::get_long);
    for flag in visible.filter(|flag| !["help", "version"].contains(flag)) {
        let flag = format!("--{flag}");
        let (_, example) = told::EXAMPLES
            .iter()
            .find(|(known, _)| *known == flag)
            .unwrap_or_else(|| panic!("no example for {flag}"));
        match *example {
            "true" => assert!(read_with(&[&flag], &[]).is_ok(), "{flag}"),
            value => {
                let mut call = vec![flag.as_str(), value];
                match flag.as_str() {
                    "--store" | "--store-file" => call.extend(["--store-key", "key"]),
                    "--store-key" => call.extend(["--store", "postgres://localhost"]),
                    _ => {}
                }
                assert!(read_with(&call, &[]).is_ok(), "{flag}");
            }
        }
    }
}

#[test]
fn other_wrong_calls_say_what_and_what_to_do() {
    for (arguments, named, remedy) in [
        (&["--frobnicate"][..], "--frobnicate", "--help"),
        (&["--listn", "127.0.0.1:0"], "--listn", "--listen"),
        (&["stray"], "stray", "--help"),
        (&["--users"], "--users", "--users /"),
        (&["--users", "a", "--users", "b"], "--users", "--users /"),
        (&["--no-tls=yes"], "--no-tls", "alone"),
        (
            &["--registration", "maybe"],
            "not one of open, invited, closed",
            "--registration",
        ),
        (&["doctor"], "<URL>", "auth_user doctor https://"),
        (
            &["proxy-config", "caddy"],
            "--app",
            "auth_user proxy-config caddy --app",
        ),
        (
            &["proxy-config", "apache"],
            "apache",
            "auth_user proxy-config caddy --app",
        ),
        (
            &["proxy-config", "nginx"],
            "--app",
            "auth_user proxy-config nginx --app",
        ),
        (
            &["proxy-config", "haproxy", "--app", "a.example.com=x"],
            "ADDR:PORT",
            "auth_user proxy-config haproxy --app",
        ),
        (
            &["proxy-config", "--frobnicate", "Traefik"],
            "--frobnicate",
            "auth_user proxy-config traefik --app",
        ),
        (&["user"], "subcommand", "auth_user user list"),
        (&["user", "add"], "<NAME>", "auth_user user add alice"),
        (
            &["user", "add", "a", "--email", "a"],
            "--email",
            "--email alice@example.com",
        ),
        (&["doctor", "app"], "app", "auth_user doctor https://"),
    ] {
        let (what, hint) = wrong(arguments);
        assert!(what.contains(named), "{what}");
        assert!(hint.contains(remedy), "{hint}");
    }
}

/// What `auth_user events` was asked, and how long events are kept.
fn events(arguments: &[&str], variables: Variables<'_>) -> Option<(EventsAsked, Option<Duration>)> {
    let all: Vec<&str> = ["events"].iter().chain(arguments).copied().collect();
    match told(&all, variables).ok()? {
        Told::Do(command, server) => match *command {
            Command::Events(asked) => Some((asked, server.events_kept().ok())),
            _ => None,
        },
        Told::Serve(_) | Told::Check(_) => None,
    }
}

#[test]
fn since_is_a_duration_a_date_or_a_time() {
    let since = |text| events(&["--since", text], &[]).and_then(|(asked, _)| asked.since);
    let day = 24 * 3600;
    assert_eq!(since("7d"), Some(Since::Ago(Duration::from_secs(7 * day))));
    let at = |seconds| Some(Since::At(Duration::from_secs(seconds)));
    assert_eq!(since("2026-11-22"), at(1_795_305_600));
    assert_eq!(since("2026-11-22T12:00:00Z"), at(1_795_348_800));
    assert_eq!(since("2026-11-22T13:00:00+01:00"), at(1_795_348_800));
    for odd in ["", "yesterday", "2026-13-01", "7"] {
        assert_eq!(since(odd), None, "{odd}");
    }
}

#[test]
fn a_wrong_time_to_keep_events_is_nothing_to_a_command_that_does_not_ask() {
    let kept = |arguments: &[&str], variables| events(arguments, variables).unwrap().1;
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
    assert_eq!(kept(&[], &[]), days(90));
    assert_eq!(kept(&["--events-kept", "0"], &[]), days(0));
    assert_eq!(kept(&[], &[("AUTH_EVENTS_KEPT", "7d")]), days(7));
    assert_eq!(kept(&[], &[("AUTH_EVENTS_KEPT", "for ever")]), None);
}

#[test]
fn metrics_are_on_this_machine_unless_an_address_is_given() {
    for (value, address) in [
        ("9100", "127.0.0.1:9100"),
        (":9100", "127.0.0.1:9100"),
        ("0", "127.0.0.1:0"),
        ("[::1]:9100", "[::1]:9100"),
        ("10.0.0.1:9100", "10.0.0.1:9100"),
    ] {
        let config = read(&["--metrics", value]);
        let shown = config.metrics.map(|address| address.to_string());
        assert_eq!(shown.as_deref(), Some(address));
        let is_open = config
            .warnings
            .iter()
            .any(|said| said.starts_with("--metrics "));
        assert_eq!(is_open, address.starts_with("10."), "{value}");
    }
    assert!(read(&[]).metrics.is_none());
}

#[test]
fn only_sockets_that_were_handed_to_this_very_process_count() {
    let own = process::id().to_string();
    for (pid, count, handed) in [
        (own.as_str(), "2", 2),
        (&own, "0", 0),
        (&own, "-1", 0),
        (&own, "", 0),
        ("1", "2", 0),
        ("", "2", 0),
    ] {
        let variables = [("LISTEN_PID", pid), ("LISTEN_FDS", count)];
        let config = read_with(&[], &variables).ok().unwrap();
        assert_eq!(config.handed, handed, "{pid} {count}");
    }
    assert_eq!(
        read_with(&[], &[("LISTEN_FDS", "1")]).ok().unwrap().handed,
        0
    );

    // An address that would be refused by itself, and is not listened on.
    let variables = [("LISTEN_PID", own.as_str()), ("LISTEN_FDS", "1")];
    let open = ["--no-tls", "--listen", "0.0.0.0:80"];
    let config = read_with(&open, &variables).ok().unwrap();
    assert!(
        config
            .warnings
            .iter()
            .any(|said| said.starts_with("--listen is ignored"))
    );
    assert!(config.judge(&["127.0.0.1:80".parse().unwrap()]).is_ok());
    assert!(
        config
            .judge(&["[::ffff:127.0.0.1]:80".parse().unwrap()])
            .is_ok()
    );
    let addresses = ["127.0.0.1:80", "[::]:80"].map(|address| address.parse().unwrap());
    assert!(config.judge(&addresses).is_err());
    assert!(read(&[]).judge(&addresses).is_ok());
}
