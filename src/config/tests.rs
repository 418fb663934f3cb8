use std::collections::BTreeMap;

use clap::CommandFactory as _;

use super::*;
use crate::config::flags::issuer;

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
fn the_default_address_depends_on_who_can_listen_in() {
    let listen = |arguments: &[&str]| read(arguments).listen.to_string();
    assert_eq!(listen(&[]), "0.0.0.0:8000");
    assert_eq!(listen(&["--no-tls"]), "127.0.0.1:8000");
    assert_eq!(listen(&["--compat"]), "127.0.0.1:8000");
    assert_eq!(
        listen(&["--compat", "--trusted-proxy", "10.0.0.1"]),
        "0.0.0.0:8000"
    );
    assert_eq!(listen(&["--compat", "--listen", "0.0.0.0:1"]), "0.0.0.0:1");
}

#[test]
fn passwords_do_not_cross_a_network_in_the_clear() {
    let (what, hint) = wrong(&["--no-tls", "--listen", "0.0.0.0:8000"]);
    assert!(
        what.starts_with("--no-tls with --listen 0.0.0.0:8000 "),
        "{what}"
    );
    assert!(hint.contains("--trusted-proxy"), "{hint}");
    let variables = [("AUTH_NO_TLS", "1"), ("AUTH_LISTEN", "0.0.0.0:8000")];
    let (what, hint) = wrong_with(&[], &variables);
    assert!(
        what.starts_with("AUTH_NO_TLS with AUTH_LISTEN=0.0.0.0:8000 "),
        "{what}"
    );
    assert!(
        hint.contains("AUTH_TRUSTED_PROXIES") && !hint.contains("--"),
        "{hint}"
    );

    let proxied = [
        "--no-tls",
        "--listen",
        "0.0.0.0:1",
        "--trusted-proxy",
        "10.0.0.0/8",
    ];
    assert!(!read(&proxied).tls);
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

#[test]
fn variables_are_read_as_files_of_variables_pass_them() {
    for (variables, good) in [
        (
            &[("AUTH_LISTEN", " 127.0.0.1:1\n")][..],
            &["--listen", "127.0.0.1:1"][..],
        ),
        (
            &[("AUTH_LISTEN", "\"127.0.0.1:1\"")],
            &["--listen", "127.0.0.1:1"],
        ),
        (
            &[("AUTH_LISTEN", "' 127.0.0.1:1 '\r\n")],
            &["--listen", "127.0.0.1:1"],
        ),
        (&[("AUTH_LISTEN", "")], &[]),
        (&[("AUTH_LISTEN", "\"\"")], &[]),
        (&[("AUTH_LISTEN", " \n")], &[]),
        (
            &[("AUTH_USERS", "\u{feff}'a b.json'")],
            &["--users", "a b.json"],
        ),
        (&[("AUTH_NO_TLS", "True\n")], &["--no-tls"]),
        (&[("AUTH_NO_TLS", "'ON'")], &["--no-tls"]),
        (&[("AUTH_NO_TLS", "\"No\"")], &[]),
        (&[("AUTH_NO_TLS", "")], &[]),
        (&[("AUTH_COMPAT", "0")], &[]),
        (&[("AUTH_LOG", "JSON")], &["--log", "json"]),
        (
            &[("AUTH_REGISTRATION", "Closed\n")],
            &["--registration", "closed"],
        ),
        (&[("AUTH_SESSION_IDLE", "'5m'")], &["--session-idle", "5m"]),
        (
            &[("AUTH_ISSUER", "\"The \\ Door\"")],
            &["--issuer", "The \\ Door"],
        ),
        (
            &[("AUTH_ISSUER", "\"The\" \"Door\"")],
            &["--issuer", "\"The\" \"Door\""],
        ),
        (
            &[("AUTH_TRUSTED_PROXIES", "10.0.0.0/8 , 127.0.0.1,\n ::1,")],
            &[
                "--trusted-proxy",
                "10.0.0.0/8",
                "--trusted-proxy",
                "127.0.0.1,::1",
            ],
        ),
        (&[("AUTH_TRUSTED_PROXIES", " , ")], &[]),
        (&[("AUTH_SMTP", ""), ("AUTH_SMTP_FILE", "")], &[]),
        (
            &[("AUTH_SMTP", ""), ("AUTH_SMTP_FILE", "f\n")],
            &["--smtp-file", "f"],
        ),
    ] {
        let by_variables = read_with(&[], variables);
        let by_flags = read(good);
        let by_variables = by_variables.unwrap_or_else(|why| panic!("{variables:?}: {why:?}"));
        assert_eq!(summary(&by_variables), summary(&by_flags), "{variables:?}");
    }
}

fn summary(config: &Config) -> String {
    let smtp = match &config.smtp {
        None => "none".to_owned(),
        Some(Smtp::File(path)) => format!("{path:?}"),
        Some(Smtp::Url(_)) => "a URL".to_owned(),
    };
    format!(
        "{} {:?} {} {:?} {smtp} {:?} {:?} {} {} {:?}",
        config.listen,
        config.users,
        config.tls,
        config.trusted_proxies,
        config.issuer,
        config.session_limits.idle,
        config.registration.is_open(),
        config.compat,
        config.log,
    )
}

#[test]
fn every_variable_that_is_empty_is_as_one_that_is_not_set() {
    let command = Flags::command();
    let names: Vec<&str> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env()?.to_str())
        .collect();
    assert_eq!(names.len(), 24);
    for empty in ["", " ", "\"\"", "''\n"] {
        let variables: Vec<(&str, &str)> = names.iter().map(|name| (*name, empty)).collect();
        let config = read_with(&[], &variables).ok().unwrap();
        assert_eq!(summary(&config), summary(&read(&[])));
        assert!(config.warnings.is_empty());
    }
}

#[test]
fn a_flag_wins_over_its_variable_and_over_what_excludes_it() {
    let config = read_with(&["--listen", "127.0.0.1:2"], &[("AUTH_LISTEN", "nowhere")]);
    assert_eq!(config.ok().unwrap().listen.to_string(), "127.0.0.1:2");
    let config = read_with(&["--smtp", "smtps://h.example"], &[("AUTH_SMTP_FILE", "f")]);
    assert!(matches!(config.ok().unwrap().smtp, Some(Smtp::Url(_))));

    let both = [("AUTH_SMTP", "smtps://h.example"), ("AUTH_SMTP_FILE", "f")];
    let (what, _) = wrong_with(&[], &both);
    assert_eq!(what, "AUTH_SMTP and AUTH_SMTP_FILE cannot both be given");
}

#[test]
fn the_variables_of_commands_are_read_alike() {
    let arguments = [
        "proxy-config",
        "caddy",
        "--app",
        "app.example.com",
        "--upstream",
        "127.0.0.1:9",
    ];
    let empty = [
        ("AUTH_PUBLIC_URL", ""),
        ("AUTH_COOKIE_DOMAIN", " "),
        ("AUTH_LISTEN", "''"),
    ];
    assert!(told(&arguments, &empty).is_ok());
    let (what, hint) = wrong_with(&arguments, &[("AUTH_PUBLIC_URL", "ftp://x")]);
    assert!(
        what.contains("AUTH_PUBLIC_URL") && !what.contains("--public-url"),
        "{what}"
    );
    assert_eq!(
        hint,
        "for instance AUTH_PUBLIC_URL=https://login.example.com"
    );
}

#[test]
fn strangers_cannot_register_by_themselves_where_applications_share_the_session() {
    const DOMAIN: [&str; 2] = ["--cookie-domain", "example.com"];
    let alone = read(&[]);
    assert!(alone.registration.is_open() && alone.notices.is_empty());

    let shared = read(&DOMAIN);
    assert_eq!(shared.registration, Registration::Invited);
    assert_eq!(shared.notices.len(), 1);
    let said = &shared.notices[0];
    assert!(said.contains("--registration open"), "{said}");

    for (who, registration) in [
        ("open", Registration::Open),
        ("closed", Registration::Closed),
        ("invited", Registration::Invited),
    ] {
        let told = read(&[&DOMAIN[..], &["--registration", who]].concat());
        assert_eq!(told.registration, registration);
        assert!(told.notices.is_empty(), "{who}");
    }
}

#[test]
fn a_mistyped_variable_is_noticed() {
    let variables = [
        ("AUTH_LISTEN", "x"),
        ("AUTH_LISTN", "x"),
        ("AUTH_PORT", ""),
        ("PATH", "x"),
        ("AUTH_SMTP_FILE", "x"),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    assert_eq!(unknown_variables(variables.into_iter()), ["AUTH_LISTN"]);
}

#[test]
fn half_a_set_up_is_warned_of_by_the_name_it_was_given() {
    const URL: (&str, &str) = ("--public-url", "https://a.example.com");
    const PROXY: (&str, &str) = ("--trusted-proxy", "10.0.0.1");
    const DOMAIN: (&str, &str) = ("--cookie-domain", "example.com");
    const SMTP: (&str, &str) = ("--smtp", "smtps://h.example");
    for (flags, warnings) in [
        (&[][..], &[][..]),
        (&[DOMAIN, URL, PROXY], &[]),
        (&[DOMAIN, URL], &["--cookie-domain without --trusted-proxy"]),
        (
            &[DOMAIN, PROXY],
            &[
                "\"localhost\", which is not in it",
                "--trusted-proxy without --public-url",
            ],
        ),
        (
            &[DOMAIN, PROXY, ("--public-url", "https://a.example.org")],
            &["\"a.example.org\", which is not in it"],
        ),
        (&[("--no-tls", "")], &["--no-tls without --trusted-proxy"]),
        (
            &[URL, ("--trusted-proxy", "0.0.0.0/0")],
            &["--trusted-proxy 0.0.0.0/0 lets everybody"],
        ),
        (&[URL, SMTP], &["--smtp without --mail-from"]),
        (&[URL, SMTP, ("--mail-from", "me@example.com")], &[]),
        (
            &[SMTP, ("--mail-from", "me@example.com")],
            &["--smtp without --public-url"],
        ),
        (
            &[("--public-url", "http://login.example.com")],
            &["--public-url http://login.example.com"],
        ),
        (&[("--public-url", "http://localhost:80")], &[]),
        (
            &[URL, PROXY, ("--no-tls", ""), ("--key", "k")],
            &["--key is not used with --no-tls"],
        ),
        (
            &[("--session-idle", "2d")],
            &["--session-idle 2days never counts"],
        ),
        (&[("--session-max", "5m")], &[]),
        (
            &[("--remember", "2h")],
            &["--remember 2h is shorter than a session may last anyway, 1day"],
        ),
        (&[("--remember", "0")], &[]),
    ] {
        let arguments: Vec<&str> = flags
            .iter()
            .flat_map(|(flag, value)| [*flag, *value])
            .filter(|word| !word.is_empty())
            .collect();
        let said = read(&arguments).warnings;
        assert_eq!(said.len(), warnings.len(), "{arguments:?}: {said:?}");
        for (said, begin) in said.iter().zip(warnings) {
            assert!(said.contains(begin), "{said}");
        }
    }

    let by_variable = [
        ("AUTH_COOKIE_DOMAIN", "example.com"),
        ("AUTH_PUBLIC_URL", "https://example.com"),
    ];
    let said = read_with(&[], &by_variable).ok().unwrap().warnings;
    assert!(
        said[0].starts_with("AUTH_COOKIE_DOMAIN without AUTH_TRUSTED_PROXIES "),
        "{said:?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("smtp");
    std::fs::write(&file, "smtps://h.example").unwrap();
    let by_file = [("AUTH_SMTP_FILE", file.to_str().unwrap())];
    let said = read_with(&[], &by_file).ok().unwrap().warnings;
    assert_eq!(said.len(), 2, "{said:?}");
    for said in said {
        assert!(said.starts_with("AUTH_SMTP_FILE without "), "{said}");
    }
}

#[test]
fn the_issuer_that_nobody_gave_obeys_the_rule_for_given_ones() {
    for (url, label) in [
        ("https://login.example.com", "login.example.com"),
        ("https://[2001:db8::1]:8000", "2001-db8--1"),
        ("https://[::1]", "--1"),
        ("https://192.0.2.1", "192.0.2.1"),
        ("https://b\u{fc}cher.example", "xn--bcher-kva.example"),
        (
            "https://a-very-long-label-that-somebody-needed.another-long-label-of-theirs.example.com",
            "a-very-long-label-that-somebody-needed.another-long-label-of-the",
        ),
    ] {
        let url = Url::parse(url).unwrap();
        let made = default_issuer(url.host_str().unwrap());
        assert_eq!(made, label);
        assert!(issuer(&made).is_ok(), "{made}");
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
