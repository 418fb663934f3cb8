//! Fields that only a proxy may set, and that an application behind it believes.

/// How their names begin, and the words for that.
const BEGINNINGS: [(&str, &str); 7] = [
    ("remote-", "its name begins with Remote-"),
    ("x-remote-", "its name begins with X-Remote-"),
    ("x-auth-", "its name begins with X-Auth-"),
    ("x-webauth-", "its name begins with X-WebAuth-"),
    ("x-forwarded-", "its name begins with X-Forwarded-"),
    ("x-original-", "its name begins with X-Original-"),
    ("x-rewrite-", "its name begins with X-Rewrite-"),
];

/// Whole names that have no beginning in common with others.
const WHOLE: [(&str, &str); 2] = [
    ("forwarded", "its name is Forwarded"),
    ("proxy", "its name is Proxy"),
];

/// Fields that proxies set themselves in a question, in place of what a visitor sent.
const OF_THE_PROXY: [&str; 9] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-url",
];

/// Applications turn `Remote-User`, `Remote_User` and `Remote.User` into the same variable.
const ODD: &str = "its name has other characters than letters, digits and hyphens";

/// Why no visitor may send a field of this name, given in lower case, to an application that
/// believes its proxy; `None` if they may.
pub fn reason(name: &str) -> Option<&'static str> {
    if OF_THE_PROXY.contains(&name) {
        return None;
    }
    let begins = BEGINNINGS.iter().find(|(begin, _)| name.starts_with(begin));
    let known = begins.or_else(|| WHOLE.iter().find(|(whole, _)| name == *whole));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    known
        .map(|(_, why)| *why)
        .or_else(|| (!name.bytes().all(plain)).then_some(ODD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_by_which_applications_know_their_visitors_is_the_proxys_alone() {
        for name in [
            "remote-user",
            "remote-",
            "remote-id",
            "x-remote-group",
            "x-auth-request-user",
            "x-webauth-role",
            "x-forwarded-user",
            "x-forwarded-prefix",
            "x-forwarded-for-",
            "x-original-host",
            "x-original-url-",
            "x-rewrite-url",
            "forwarded",
            "proxy",
        ] {
            assert!(reason(name).is_some_and(|why| why != ODD), "{name}");
        }
        for name in ["remote_user", "remote.user", "a b", "x!", "a'b", "~", "x_y"] {
            assert_eq!(reason(name), Some(ODD), "{name}");
        }
    }

    #[test]
    fn what_the_proxy_asks_by_and_what_browsers_send_passes() {
        let of_browsers = [
            "accept",
            "authorization",
            "cookie",
            "dnt",
            "proxy-connection",
            "remote",
            "sec-ch-ua-mobile",
            "x-authentic",
            "x-real-ip",
            "x-requested-with",
        ];
        for name in OF_THE_PROXY.iter().chain(&of_browsers) {
            assert_eq!(reason(name), None, "{name}");
        }
    }
}
