//! Settings by variables of the environment.

use super::*;

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
