use clap::ValueEnum as _;

use super::*;

fn wanted(public_url: &str, hosts: &[&str]) -> Wanted {
    let application = |host: &&str| Application {
        host: (*host).to_owned(),
        upstream: "127.0.0.1:9000".to_owned(),
    };
    Wanted {
        applications: hosts.iter().map(application).collect(),
        public_url: Url::parse(public_url).unwrap(),
        cookie_domain: "example.com".to_owned(),
        auth: "0.0.0.0:8000".parse().unwrap(),
        certificate: None,
        ipv6: true,
    }
}

#[test]
fn no_hole_stays_open() {
    let hosts = ["app.example.com", "two.example.com"];
    for &proxy in Proxy::value_variants() {
        for url in ["https://auth.example.com", "https://auth.example.com:8443"] {
            for file in files(proxy, &wanted(url, &hosts)).unwrap() {
                let hole = file.text.split('{').skip(1).find(|rest| {
                    let name = rest.split('}').next().unwrap_or_default();
                    !name.is_empty()
                        && rest.len() > name.len()
                        && name
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b"_6".contains(&b))
                });
                assert_eq!(hole, None, "{proxy:?} {}", file.name);
                assert!(file.text.lines().all(|line| line.len() <= 130));
            }
        }
    }
}

#[test]
fn where_there_is_no_ipv6_its_lines_are_comments() {
    for proxy in [Proxy::Nginx, Proxy::Haproxy] {
        for ipv6 in [true, false] {
            let mut wanted = wanted("https://auth.example.com", &["app.example.com"]);
            wanted.ipv6 = ipv6;
            let files = files(proxy, &wanted).unwrap();
            let lines: Vec<&str> = files
                .iter()
                .flat_map(|file| file.text.lines())
                .filter(|line| line.contains("[::]:"))
                .collect();
            assert!(lines.len() >= 2, "{proxy:?} {lines:?}");
            for line in lines {
                assert_eq!(
                    line.trim_start().starts_with('#'),
                    !ipv6,
                    "{proxy:?} {line}"
                );
            }
        }
    }
}

#[test]
fn haproxy_takes_a_host_whole_and_leads_to_names_that_are_written_out() {
    let hosts = ["app.example.com", "two.example.com"];
    let files = files(Proxy::Haproxy, &wanted("https://auth.example.com", &hosts)).unwrap();
    let text: String = files.iter().map(|file| file.text.as_str()).collect();

    for host in ["auth.example.com", hosts[0], hosts[1]] {
        let redirect = format!("redirect prefix https://{host} code 301 if {{ req.fhdr(host)");
        assert_eq!(text.matches(&redirect).count(), 1, "{host}");
    }
    // If Host is a list of names, `req.hdr` takes it apart, and `redirect scheme` redirects to
    // the first of them.
    assert!(!text.contains("req.hdr(host)"), "{text}");
    assert!(!text.contains("redirect scheme"), "{text}");
}

#[test]
fn hosts_no_session_reaches_are_refused() {
    for (url, hosts) in [
        ("http://auth.example.com", &["app.example.com"][..]),
        ("https://app.example.com", &["app.example.com"]),
        ("https://auth.example.org", &["app.example.com"]),
        ("https://evilexample.com", &["app.example.com"]),
        ("https://127.0.0.1", &["app.example.com"]),
        (
            "https://auth.example.com",
            &["app.example.com", "app.example.com"],
        ),
        (
            "https://auth.example.com",
            &["app.example.com", "app.example.org"],
        ),
        (
            "https://auth.example.com",
            &["app.example.com", "appexample.com"],
        ),
    ] {
        assert!(files(Proxy::Nginx, &wanted(url, hosts)).is_err(), "{url}");
    }
}

#[test]
fn names_of_files_stay_apart_and_fit() {
    let long = |last: char| format!("{}{last}.example.com", "a123456789.".repeat(21));
    let names = ["app.example.com".to_owned(), long('a'), long('b')].map(|host| file_name(&host));
    assert_eq!(names[0], "app.example.com.conf");
    assert_ne!(names[1], names[2]);
    let longest = file_name(&"a".repeat(253));
    assert_eq!(longest.len(), MAX_FILE_NAME);
    assert_ne!(longest, file_name(&format!("{}b", "a".repeat(252))));
}

#[test]
fn a_file_is_replaced_only_by_one_about_its_applications() {
    let url = "https://auth.example.com";
    for &proxy in Proxy::value_variants() {
        let one = wanted(url, &["one.example.com"]);
        let both = wanted(url, &["one.example.com", "two.example.com"]);
        let first = files(proxy, &one).unwrap().pop().unwrap();
        let mut moved = wanted(url, &["one.example.com"]);
        moved.applications[0].upstream = "127.0.0.1:9001".to_owned();
        let moved = files(proxy, &moved).unwrap().pop().unwrap();
        let other = wanted(url, &["two.example.com"]);

        assert!(moved.may_replace(&first.text, &both.applications));
        assert!(!moved.may_replace(&first.text, &other.applications));
        assert!(!moved.may_replace("# mine\n", &both.applications));
        assert!(!moved.may_replace(&first.text.replace("9000", "9002"), &both.applications));
        assert!(first.may_replace(&first.text, &other.applications));
    }
}
