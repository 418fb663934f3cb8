//! Where the parts of such a URL begin and end. Several hosts make it one that the usual readers of
//! URLs refuse.

use std::str;

use crate::store::postgres::url::percent_decode_str;

/// The parts, none of them decoded.
pub(super) struct Parts<'a> {
    scheme: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    /// With ports and commas.
    authority: &'a str,
    pub(super) path: Option<&'a str>,
    pub(super) parameters: Vec<(&'a str, &'a str)>,
}

/// What to do about a character that ends a part too early.
const ESCAPE: &str =
    "write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25 in user and password";

impl<'a> Parts<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, String> {
        let split = text.split_once("://");
        let known = |(scheme, _): &(&str, &str)| matches!(*scheme, "postgres" | "postgresql");
        let Some((scheme, rest)) = split.filter(known) else {
            return Err("it does not begin with postgres:// or postgresql://".to_owned());
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (front, behind) = rest.split_at(end);
        // Whoever has such a character in a password would read half of it in an error below.
        if behind.contains('@') || text.contains('#') {
            return Err(ESCAPE.to_owned());
        }
        let (userinfo, authority) = match front.rsplit_once('@') {
            Some((userinfo, _)) if userinfo.contains('@') => return Err(ESCAPE.to_owned()),
            Some((userinfo, authority)) => (Some(userinfo), authority),
            None => (None, front),
        };
        let (user, password) = match userinfo.map(|userinfo| userinfo.split_once(':')) {
            Some(Some((user, password))) => (Some(user), Some(password)),
            _ => (userinfo, None),
        };
        let (path, query) = match behind.split_once('?') {
            Some((path, query)) => (path, query),
            None => (behind, ""),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Ok(Self {
            scheme,
            user,
            password,
            authority,
            path: path.strip_prefix('/'),
            parameters: pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .collect(),
        })
    }

    /// Each host, decoded, with its port if it has one. A single host without a name stands for
    /// none.
    pub(super) fn hosts(&self) -> Result<Vec<(String, Option<&'a str>)>, String> {
        let hosts = self.authority.split(',');
        hosts
            .map(|host| {
                // The colons of an address are inside its brackets.
                let from = host.rfind(']').unwrap_or(0);
                let (_, behind) = host.split_at(from);
                let (name, port) = match behind.find(':') {
                    Some(at) => {
                        let (name, port) = host.split_at(from + at);
                        (name, port.strip_prefix(':'))
                    }
                    None => (host, None),
                };
                let port = port.filter(|port| !port.is_empty());
                Ok((decoded(name)?, port))
            })
            .collect()
    }

    /// The URL again, without its password.
    pub(super) fn without_password(&self) -> String {
        let mut text = format!("{}://", self.scheme);
        if let Some(user) = self.user {
            text.push_str(user);
            text.push('@');
        }
        text.push_str(self.authority);
        if let Some(path) = self.path {
            text.push('/');
            text.push_str(path);
        }
        // A name may be encoded: what looks like no parameter has been refused.
        let is_secret = |name: &str| decoded(name).is_ok_and(|name| name == "password");
        let mut sign = '?';
        for (name, value) in self.parameters.iter().filter(|(name, _)| !is_secret(name)) {
            text.push(sign);
            text.push_str(name);
            text.push('=');
            text.push_str(value);
            sign = '&';
        }
        text
    }
}

/// The text without percent signs.
///
/// # Errors
///
/// If one does not begin a character, or there is a NUL, at which the protocol ends a text.
pub(super) fn decoded(text: &str) -> Result<String, String> {
    let is_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(decoded) if is_whole && !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => Err("a percent sign is not followed by two digits of a character".to_owned()),
    }
}
