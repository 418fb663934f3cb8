use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use crate::store::postgres::url::{Guard, Host, Url};

fn parse(text: &str) -> Url {
    match Url::parse(text) {
        Ok(url) => url,
        Err(why) => panic!("{text}: {why}"),
    }
}

fn refused(text: &str) -> String {
    match Url::parse(text) {
        Ok(_) => panic!("{text} is taken"),
        Err(why) => why,
    }
}

fn tcp(name: &str, port: u16) -> Host {
    Host::Tcp(name.to_owned(), port)
}

fn socket(folder: &str, port: u16) -> Host {
    Host::Socket(PathBuf::from(folder), port)
}

#[test]
fn every_part_of_a_url_is_read() {
    let url = parse(
        "postgres://al%40ice:p%2Fw%25@db.example.com:6000/au%20th?sslmode=require\
         &sslrootcert=/etc/db.pem&channel_binding=require&target_session_attrs=read-write\
         &connect_timeout=7&application_name=node%201",
    );

    assert_eq!(url.hosts, [tcp("db.example.com", 6000)]);
    assert_eq!(url.user.as_deref(), Some("al@ice"));
    assert_eq!(url.password.as_ref().map(|p| p.as_str()), Some("p/w%"));
    assert_eq!(url.dbname.as_deref(), Some("au th"));
    assert_eq!(url.root, Some(PathBuf::from("/etc/db.pem")));
    assert!(url.requires_binding && url.wants_writes);
    assert_eq!(url.connect_timeout, Duration::from_secs(7));
    assert_eq!(url.application_name, "node 1");
}

#[test]
fn what_is_not_said_is_as_usual() {
    let url = parse("postgresql://db.example.com");

    assert_eq!(url.hosts, [tcp("db.example.com", 5432)]);
    assert!(url.user.is_none() && url.password.is_none() && url.dbname.is_none());
    assert_eq!(url.guard, Guard::Tls);
    assert_eq!(url.root, None);
    assert!(!url.requires_binding && !url.wants_writes);
    assert_eq!(url.connect_timeout, Duration::from_secs(2));
    assert_eq!(url.application_name, "auth_user");
    assert_eq!(parse("postgres://h?sslrootcert=system&user=").root, None);
}

#[test]
fn hosts_come_with_their_ports_and_sockets_by_their_folder() {
    for (text, hosts) in [
        (
            "postgres://a:1,b,[::1]:3/d",
            vec![tcp("a", 1), tcp("b", 5432), tcp("::1", 3)],
        ),
        (
            "postgres:///d?host=a,b&port=1,2",
            vec![tcp("a", 1), tcp("b", 2)],
        ),
        (
            "postgres:///d?host=a,b&port=7",
            vec![tcp("a", 7), tcp("b", 7)],
        ),
        ("postgres://a,b/d?port=7", vec![tcp("a", 7), tcp("b", 7)]),
        ("postgres:///?host=::1", vec![tcp("::1", 5432)]),
        (
            "postgres:///d?host=/run/postgresql",
            vec![socket("/run/postgresql", 5432)],
        ),
        ("postgres://u@:6000/d?host=/tmp", vec![socket("/tmp", 6000)]),
        (
            "postgres://%2Frun%2Fpg:6000/d",
            vec![socket("/run/pg", 6000)],
        ),
    ] {
        assert_eq!(parse(text).hosts, hosts, "{text}");
    }
    assert_eq!(socket("/tmp", 6000).to_string(), "/tmp/.s.PGSQL.6000");
    assert_eq!(tcp("::1", 6000).to_string(), "[::1]:6000");
}

#[test]
fn only_what_stays_on_this_machine_goes_without_tls() {
    for (text, guard) in [
        ("postgres://localhost", Guard::Nothing),
        ("postgres://LOCALHOST,127.9.9.9,[::1]", Guard::Nothing),
        ("postgres://[::ffff:127.0.0.1]", Guard::Nothing),
        ("postgres:///?host=/tmp", Guard::Nothing),
        ("postgres://localhost?sslmode=disable", Guard::Nothing),
        ("postgres://localhost?channel_binding=require", Guard::Tls),
        ("postgres://localhost?sslmode=verify-ca", Guard::Tls),
        ("postgres://localhost,db.example.com", Guard::Tls),
        ("postgres://10.0.0.1", Guard::Tls),
        ("postgres://localhost.example.com", Guard::Tls),
    ] {
        assert_eq!(parse(text).guard, guard, "{text}");
    }
}

#[test]
fn what_is_wrong_is_refused_by_name() {
    for (text, why) in [
        (
            "mysql://h",
            "it does not begin with postgres:// or postgresql://",
        ),
        (
            "host=h user=u",
            "it does not begin with postgres:// or postgresql://",
        ),
        ("postgres:///d", "there is no host"),
        (
            "postgres://h?sslcert=x",
            "the parameter sslcert is not known here",
        ),
        ("postgres://h?SSL1=x", "a parameter is not known here"),
        ("postgres://h?user=a&user=b", "user is said twice"),
        ("postgres://u@h?user=a", "the user is said twice"),
        ("postgres://u:p@h?password=a", "the password is said twice"),
        ("postgres://h/d?dbname=a", "the database is said twice"),
        ("postgres://h?host=a", "the host is said twice"),
        ("postgres://h:1?port=2", "the port is said twice"),
        ("postgres://h:0", "a port is not a number from 1 to 65535"),
        (
            "postgres://h:65536",
            "a port is not a number from 1 to 65535",
        ),
        (
            "postgres:///?host=a,b,c&port=1,2",
            "there are not as many ports as hosts",
        ),
        (
            "postgres://a,,b",
            "a host is neither a name, nor an address, nor the path of a folder",
        ),
        (
            "postgres://h?sslmode=prefer",
            "sslmode is not one of disable, require, verify-ca, verify-full",
        ),
        (
            "postgres://h?sslmode=allow",
            "sslmode is not one of disable, require, verify-ca, verify-full",
        ),
        (
            "postgres://h?sslmode=disable",
            "sslmode=disable is for this machine alone",
        ),
        (
            "postgres://localhost,h?sslmode=disable",
            "sslmode=disable is for this machine alone",
        ),
        (
            "postgres://localhost?sslmode=disable&channel_binding=require",
            "channel_binding=require needs TLS, and sslmode=disable has none",
        ),
        (
            "postgres://h?channel_binding=disable",
            "channel_binding is not one of prefer, require",
        ),
        (
            "postgres://h?target_session_attrs=primary",
            "target_session_attrs is not one of any, read-write",
        ),
        (
            "postgres://h?connect_timeout=0",
            "connect_timeout is not a number of seconds from 1 on",
        ),
        (
            "postgres://h?connect_timeout=2s",
            "connect_timeout is not a number of seconds from 1 on",
        ),
        (
            "postgres://h/a%2",
            "a percent sign is not followed by two digits of a character",
        ),
        (
            "postgres://h/a%ff",
            "a percent sign is not followed by two digits of a character",
        ),
        (
            "postgres://h/a%00b",
            "a percent sign is not followed by two digits of a character",
        ),
    ] {
        assert_eq!(refused(text), why, "{text}");
    }
}

#[test]
fn a_url_is_shown_as_it_was_written_but_for_the_password() {
    for (text, shown) in [
        (
            "postgres://u:hidden@h:1,g/d?sslmode=require",
            "postgres://u@h:1,g/d?sslmode=require",
        ),
        (
            "postgres://h/d?user=u&password=hidden&port=2",
            "postgres://h/d?user=u&port=2",
        ),
        ("postgres://h/d?pass%77ord=hidden", "postgres://h/d"),
        ("postgresql://u%40:@h", "postgresql://u%40@h"),
    ] {
        assert_eq!(parse(text).shown(), shown);
    }
}

proptest! {
    /// A password as somebody types it who has not heard of percent signs.
    #[test]
    fn no_part_of_a_password_is_repeated(password in "[a-z@:/?#%&=,\\[\\]]{0,6}SECRET[a-z@:/?#%&=,\\[\\]]{0,6}SECRET") {
        let said = match Url::parse(&format!("postgres://u:{password}@db.example.com/d")) {
            Ok(url) => url.shown().to_owned(),
            Err(why) => why,
        };
        prop_assert!(!said.contains("SECRET"), "{}", said);
    }
}
