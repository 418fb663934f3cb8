//! Names that go into a configuration as they are: what is accepted here has no special meaning to
//! any of the proxies.

use std::net::SocketAddr;

use crate::host;

/// Checks the name of a host; gives it in lower case.
///
/// # Errors
///
/// Says what it should be.
pub fn host(text: &str) -> Result<String, String> {
    let host = text.to_ascii_lowercase();
    if host.contains('.') && host::is_name(&host) {
        Ok(host)
    } else {
        Err("not a host such as app.example.com".to_owned())
    }
}

/// Checks where an application listens: an address or a name, and a port.
///
/// # Errors
///
/// Says what it should be.
pub fn upstream(text: &str) -> Result<String, String> {
    let wrong = || "not of the form ADDR:PORT".to_owned();
    let (name, port) = match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().to_canonical().is_unspecified() => {
            return Err(format!(
                "{ip} is where something listens, not where it is reached: 127.0.0.1:{port} if it \
                 is on the proxy's machine",
                ip = address.ip(),
                port = address.port(),
            ));
        }
        Ok(address) => (address.to_string(), address.port()),
        Err(_) => {
            let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
            if !host::is_machine(name) || !port.bytes().all(|b| b.is_ascii_digit()) {
                return Err(wrong());
            }
            let port: u16 = port.parse().map_err(|_| wrong())?;
            (format!("{name}:{port}"), port)
        }
    };
    if port == 0 { Err(wrong()) } else { Ok(name) }
}

/// Checks the path of a file: one that needs no quotes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_into_a_configuration_but_names() {
        for text in [
            "",
            "app",
            "a.b;",
            "a.b c",
            "a.b{",
            "a.b`",
            "a..b",
            "-a.b",
            "a_b.c",
            "1.2.3.4",
            "a.b\n",
            "a.1",
            "a.b.",
            "bücher.example",
        ] {
            assert!(host(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            "9000",
            "a:",
            "a:0",
            "a:1;",
            "a:+1",
            "a b:1",
            "http://a:1",
            "a$b:1",
            "a\n:1",
            "1.2.3:80",
            "127.0.0.1:0",
            "_a:1",
            "::1:80",
            "0.0.0.0:80",
            "[::]:80",
            "[0::0]:80",
            "[::ffff:0.0.0.0]:80",
            "0:80",
        ] {
            assert!(upstream(text).is_err(), "{text:?}");
        }
        for text in ["", "a.pem", "/a b", "/a;", "/a{", "/a\"", "/a#", "/a\n"] {
            assert!(path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_people_have_is_taken() {
        let longest = format!("{}example.com", "a123456789.".repeat(22));
        assert_eq!(longest.len(), 253);
        assert_eq!(host("App.Example.com").unwrap(), "app.example.com");
        assert_eq!(host("3d.example.com").unwrap(), "3d.example.com");
        assert_eq!(host(&longest).unwrap(), longest);
        assert!(host(&format!("b{longest}")).is_err());
        for name in [
            "app-1:80",
            "my_app:80",
            "3d-printer:80",
            "[::1]:80",
            "10.0.0.7:80",
        ] {
            assert_eq!(upstream(name).unwrap(), name);
        }
    }
}
