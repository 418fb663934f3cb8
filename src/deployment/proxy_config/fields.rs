//! Fields of a request that applications believe because a proxy sets them, and that no visitor may
//! set.

use crate::deployment::Proxy;

/// How the names of such fields begin.
pub const BEGINNINGS: [&str; 7] = [
    "Remote-",
    "X-Auth-",
    "X-Forwarded-",
    "X-Original-",
    "X-Remote-",
    "X-Rewrite-",
    "X-WebAuth-",
];

/// The names of such fields that have none of these beginnings.
pub const WHOLE: [&str; 3] = ["Forwarded", "Proxy", "X-Real-IP"];

/// The names that applications and proxies are known to use, for proxies that cannot match
/// beginnings. Any other name that begins like this is refused by auth_user itself when the proxy
/// asks.
const KNOWN: [&str; 58] = [
    "Forwarded",
    "Proxy",
    "Remote-Access-Token",
    "Remote-Addr",
    "Remote-Email",
    "Remote-Group",
    "Remote-Groups",
    "Remote-Host",
    "Remote-Id",
    "Remote-Name",
    "Remote-Role",
    "Remote-Roles",
    "Remote-User",
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
    "X-Forwarded-By",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Email",
    "X-Forwarded-For",
    "X-Forwarded-Groups",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Name",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Original-For",
    "X-Original-Host",
    "X-Original-Method",
    "X-Original-Proto",
    "X-Original-URI",
    "X-Original-URL",
    "X-Real-IP",
    "X-Remote-Group",
    "X-Remote-User",
    "X-Rewrite-URL",
    "X-WebAuth-Email",
    "X-WebAuth-Name",
    "X-WebAuth-Role",
    "X-WebAuth-User",
];

/// The fields that the configuration of a proxy sets itself, where fields are removed one by one:
/// nginx sets these for the application, in the question to auth_user, and in the second question,
/// whose answer it shows.
const TO_APPLICATION: [&str; 8] = [
    "Remote-Email",
    "Remote-Groups",
    "Remote-Id",
    "Remote-Name",
    "Remote-User",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
];
const IN_QUESTION: [&str; 3] = ["X-Forwarded-For", "X-Original-Method", "X-Original-URL"];
const IN_ANSWER: [&str; 5] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Proto",
    "X-Forwarded-Uri",
];

/// Traefik sets these itself, before anything that is written here.
const BY_TRAEFIK: [&str; 3] = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"];

/// The holes in a proxy's templates for the lines that remove such fields.
pub fn holes(proxy: Proxy) -> Vec<(&'static str, String)> {
    match proxy {
        Proxy::Nginx => vec![
            ("stripped", nginx(&TO_APPLICATION)),
            ("stripped_question", nginx(&IN_QUESTION)),
            ("stripped_answer", nginx(&IN_ANSWER)),
        ],
        Proxy::Caddy => vec![("stripped", lines("    request_header -", "*", ""))],
        Proxy::Haproxy => {
            let gone = lines("    http-request del-header ", " -m beg", "");
            vec![("stripped", gone)]
        }
        Proxy::Traefik => {
            let names = KNOWN.iter().filter(|name| !BY_TRAEFIK.contains(name));
            let line = |name: String| format!("          {name}: \"\"");
            let gone: Vec<_> = names.flat_map(|name| spellings(name)).map(line).collect();
            vec![("stripped", gone.join("\n"))]
        }
    }
}

fn nginx(set: &[&str]) -> String {
    let gone = KNOWN.iter().filter(|name| !set.contains(name));
    let lines: Vec<_> = gone
        .map(|name| format!("        proxy_set_header {name} \"\";"))
        .collect();
    lines.join("\n")
}

/// A line for each beginning, and for each whole name.
fn lines(before: &str, alike: &str, whole: &str) -> String {
    let begins = BEGINNINGS
        .iter()
        .map(|name| format!("{before}{name}{alike}"));
    let lines: Vec<_> = begins
        .chain(WHOLE.iter().map(|name| format!("{before}{name}{whole}")))
        .collect();
    lines.join("\n")
}

/// A name, and the spelling of it that becomes the same variable in an application.
fn spellings(name: &str) -> Vec<String> {
    let mut both = vec![name.to_owned(), name.replace('-', "_")];
    both.dedup();
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_field_is_taken_away_or_set() {
        for name in KNOWN {
            let alike = BEGINNINGS.iter().any(|begin| name.starts_with(begin));
            assert!(alike || WHOLE.contains(&name), "{name}");
        }
        for (list, set) in [
            (nginx(&TO_APPLICATION), &TO_APPLICATION[..]),
            (nginx(&IN_QUESTION), &IN_QUESTION),
            (nginx(&IN_ANSWER), &IN_ANSWER),
            (holes(Proxy::Traefik)[0].1.clone(), &BY_TRAEFIK),
        ] {
            for name in KNOWN {
                let gone = list.lines().any(|line| {
                    let mut words = line.trim().split([' ', ':']);
                    words.any(|word| word == name)
                });
                assert_eq!(gone, !set.contains(&name), "{name}");
            }
        }
        let traefik = &holes(Proxy::Traefik)[0].1;
        assert!(traefik.contains(" Remote_User: "));
    }

    #[test]
    fn names_that_begin_so_are_taken_away_where_a_proxy_knows_beginnings() {
        for proxy in [Proxy::Caddy, Proxy::Haproxy] {
            let gone = &holes(proxy)[0].1;
            for name in BEGINNINGS.iter().chain(&WHOLE) {
                assert!(gone.contains(name), "{proxy:?} {name}");
            }
        }
    }
}
