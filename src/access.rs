//! Who may enter which application: the rules of `access.toml`, pure.
//!
//! Without the file everybody may who is logged in. With it nobody may whom no rule lets in.

use std::ops::Range;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use toml::Spanned;
use url::{Host, Url};

/// What stands for everybody who is logged in.
const EVERYBODY: &str = "*";

/// How often a path is decoded to see what is in it. Nobody encodes four times by mistake.
const MAX_DECODING: usize = 4;

/// The rules, or that there are none.
#[derive(Clone, Default)]
pub struct Access {
    rules: Option<Vec<Rule>>,
}

/// Why a text holds no rules.
#[derive(Debug, PartialEq)]
pub struct BadRules {
    pub reason: String,
    /// Where in the text, in bytes.
    pub at: Option<usize>,
}

#[derive(Clone)]
struct Rule {
    host: Hosts,
    /// As browsers write it, without a final slash.
    path: String,
    /// As [`loosely`] reads it.
    loose_path: String,
    groups: Vec<String>,
}

/// In lower case, without a final dot.
#[derive(Clone, PartialEq)]
enum Hosts {
    One(String),
    /// All hosts under this domain, not the domain itself.
    Under(String),
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rule: Vec<Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    host: Spanned<String>,
    path: Option<Spanned<String>>,
    groups: Spanned<Vec<String>>,
}

impl Access {
    /// Reads the rules.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. Of a text with a mistake no rule holds.
    pub fn parse(text: &str) -> Result<Self, BadRules> {
        let file: File = toml::from_str(text).map_err(|error| BadRules {
            reason: error.message().to_owned(),
            at: error.span().map(|span| span.start),
        })?;
        let mut rules: Vec<Rule> = Vec::with_capacity(file.rule.len());
        for written in file.rule {
            let span = written.span();
            let rule = Rule::read(written.into_inner())?;
            let same = |other: &Rule| other.host == rule.host && other.path == rule.path;
            if rules.iter().any(same) {
                return Err(bad(span, "there is a rule for this host and path already"));
            }
            rules.push(rule);
        }
        Ok(Self { rules: Some(rules) })
    }

    /// Whether an account of these groups may have the path at the host, which is in lower case and
    /// without a final dot.
    ///
    /// Applications do not agree on what a path means: whether case counts, what `;` begins, what
    /// `%2f` is. So it is read in the narrowest way and in the widest, and both must be allowed.
    pub fn admits(&self, host: &str, path: &str, groups: &[String]) -> bool {
        let Some(rules) = &self.rules else {
            return true;
        };
        let Some(loose) = loosely(path) else {
            return false;
        };
        let here: Vec<&Rule> = rules.iter().filter(|rule| rule.host.has(host)).collect();
        decides(&here, path, |rule| &rule.path, groups)
            && decides(&here, &loose, |rule| &rule.loose_path, groups)
    }
}

/// Whether the most specific rule for a path lets one of the groups in: of the rules for this very
/// host, or else for the nearest domain above it, the one with the longest path. Where two are the
/// same in this reading, both must.
fn decides(rules: &[&Rule], path: &str, of: fn(&Rule) -> &str, groups: &[String]) -> bool {
    let rank = |rule: &Rule| (rule.host.rank(), of(rule).len());
    let fitting = || rules.iter().filter(|rule| is_under(path, of(rule)));
    let Some(first) = fitting().map(|rule| rank(rule)).max() else {
        return false;
    };
    fitting()
        .filter(|rule| rank(rule) == first)
        .all(|rule| rule.lets_in(groups))
}

/// Whether a path is `prefix` or below it; never only begins with the same letters.
fn is_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Rule {
    fn read(written: Written) -> Result<Self, BadRules> {
        let host = read_host(written.host)?;
        let (path, loose_path) = match written.path {
            Some(path) => read_path(path)?,
            None => (String::new(), String::new()),
        };
        let span = written.groups.span();
        let groups = written.groups.into_inner();
        if groups.iter().any(|group| group.trim().is_empty()) {
            return Err(bad(span, "a group has no name"));
        }
        Ok(Self {
            host,
            path,
            loose_path,
            groups,
        })
    }

    fn lets_in(&self, groups: &[String]) -> bool {
        self.groups
            .iter()
            .any(|allowed| allowed == EVERYBODY || groups.contains(allowed))
    }
}

impl Hosts {
    fn has(&self, host: &str) -> bool {
        match self {
            Self::One(one) => host == one,
            Self::Under(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|sub| sub.ends_with('.')),
        }
    }

    /// Greater for what says more.
    fn rank(&self) -> (bool, usize) {
        match self {
            Self::One(_) => (true, 0),
            Self::Under(domain) => (false, domain.len()),
        }
    }
}

fn bad(span: Range<usize>, reason: &str) -> BadRules {
    BadRules {
        reason: reason.to_owned(),
        at: Some(span.start),
    }
}

fn read_host(written: Spanned<String>) -> Result<Hosts, BadRules> {
    let wrong = || {
        bad(
            written.span(),
            "host is no name such as app.example.com or *.example.com",
        )
    };
    let text = written.get_ref().as_str();
    let (name, under) = match text.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    match Host::parse(name) {
        Ok(Host::Domain(name)) if !name.contains('*') && !name.ends_with('.') => Ok(if under {
            Hosts::Under(name)
        } else {
            Hosts::One(name)
        }),
        Ok(address @ (Host::Ipv4(_) | Host::Ipv6(_))) if !under => {
            Ok(Hosts::One(address.to_string()))
        }
        _ => Err(wrong()),
    }
}

/// The path as browsers write it and as [`loosely`] reads it, both without a final slash.
fn read_path(written: Spanned<String>) -> Result<(String, String), BadRules> {
    let text = written.get_ref().as_str();
    let plain = text.starts_with('/')
        && !text.contains(['?', '#', ';', '\\'])
        && !text.contains("//")
        && !text.chars().any(char::is_control);
    let url = Url::parse(&format!("https://host{text}")).ok();
    let path = url.map(|url| url.path().trim_end_matches('/').to_owned());
    let loose = loosely(text);
    match (path, loose) {
        (Some(path), Some(loose))
            if plain && depth(&path) == depth(text) && depth(&loose) == depth(text) =>
        {
            Ok((path, loose))
        }
        _ => Err(bad(
            written.span(),
            "path is no plain path such as /admin, without dots, parameters or a query",
        )),
    }
}

/// How many segments there are; resolving dots makes it less.
fn depth(path: &str) -> usize {
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .count()
}

/// The path in the widest reading: decoded until nothing is left to decode, in lower case, `\` as
/// `/`, no parameters, no empty segments, dots resolved. Without a final slash. None if there is
/// something in it that no honest path has.
fn loosely(path: &str) -> Option<String> {
    let mut text = path.to_owned();
    let mut left = MAX_DECODING;
    loop {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            break;
        }
        left = left.checked_sub(1)?;
        text = decoded;
    }
    if text.chars().any(char::is_control) {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']) {
        match segment.split([';', '?', '#']).next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    let path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
    Some(path.to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: &str = r#"
        [[rule]]
        host = "app.example.com"
        groups = ["*"]

        [[rule]]
        host = "app.example.com"
        path = "/admin"
        groups = ["admins", "owners"]

        [[rule]]
        host = "app.example.com"
        path = "/admin/help"
        groups = ["users"]

        [[rule]]
        host = "*.example.com"
        groups = ["staff"]

        [[rule]]
        host = "*.lab.example.com"
        path = "/open"
        groups = ["*"]
    "#;

    fn admits(host: &str, path: &str, groups: &[&str]) -> bool {
        let groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
        Access::parse(RULES).unwrap().admits(host, path, &groups)
    }

    fn said(text: &str) -> (String, usize) {
        let bad = Access::parse(text).err().unwrap();
        let line = text[..bad.at.unwrap()].matches('\n').count() + 1;
        (bad.reason, line)
    }

    #[test]
    fn without_rules_everybody_may_and_with_none_of_them_nobody() {
        let none = Access::parse("# nothing yet").unwrap();

        assert!(Access::default().admits("app.example.com", "/", &[]));
        assert!(!none.admits("app.example.com", "/", &["admins".to_owned()]));
    }

    #[test]
    fn the_most_specific_rule_decides_whatever_the_order() {
        for (host, path, group, admitted) in [
            ("app.example.com", "/", "users", true),
            ("app.example.com", "/adminx", "users", true),
            ("app.example.com", "/administration/x", "users", true),
            ("app.example.com", "/admin", "users", false),
            ("app.example.com", "/admin/", "users", false),
            ("app.example.com", "/admin/x", "users", false),
            ("app.example.com", "/admin/x", "owners", true),
            ("app.example.com", "/admin/help/me", "users", true),
            ("app.example.com", "/admin/help", "admins", false),
            ("other.example.com", "/", "users", false),
            ("other.example.com", "/", "staff", true),
            ("a.b.example.com", "/", "staff", true),
            // The domain itself is not under it, and a suffix is no domain.
            ("example.com", "/", "staff", false),
            ("evilexample.com", "/", "staff", false),
            ("a.lab.example.com", "/open/x", "users", true),
            ("a.lab.example.com", "/", "staff", true),
            ("elsewhere.test", "/", "staff", false),
        ] {
            assert_eq!(
                admits(host, path, &[group]),
                admitted,
                "{host}{path} {group}"
            );
        }
    }

    #[test]
    fn no_spelling_dodges_a_rule() {
        for path in [
            "/ADMIN",
            "/Admin/x",
            "/%61dmin",
            "/%2561dmin",
            "/admin%2fx",
            "/admin%5Cx",
            "//admin",
            "/x//../admin",
            "/x/..;/admin",
            "/x/%252e%252e/admin",
            "/admin/%252e%252e/x",
            "/admin/..;/x",
            "/admin;jsessionid=1",
            "/;/admin",
            "/./admin",
            "/admin%3fx",
            "/admin%23",
            "/x%2f..%2fadmin",
            "/admin%00",
            "/x/%2500",
            "/%252525252561dmin",
            "/admin/help/..;/x",
            "/admin/HELP%2f..",
        ] {
            assert!(!admits("app.example.com", path, &["users"]), "{path}");
        }
    }

    #[test]
    fn an_honest_path_is_not_taken_for_a_trick() {
        for path in [
            "/a%20b/100%/%C3%BC",
            "/a%2Fb",
            "/x;v=1",
            "//x",
            "/.well-known/x",
            "/x..y/...",
        ] {
            assert!(admits("app.example.com", path, &["users"]), "{path}");
        }
    }

    #[test]
    fn bad_rules_are_named_by_line_and_reason() {
        let host = "host is no name such as app.example.com or *.example.com";
        let path = "path is no plain path such as /admin, without dots, parameters or a query";
        for (text, reason, line) in [
            ("\n\n[[rule]]\nhost = \"a b\"\ngroups = []", host, 4),
            ("[[rule]]\nhost = \"*\"\ngroups = []", host, 2),
            ("[[rule]]\nhost = \"a.*.b\"\ngroups = []", host, 2),
            ("[[rule]]\nhost = \"https://a\"\ngroups = []", host, 2),
            ("[[rule]]\nhost = \"a:8443\"\ngroups = []", host, 2),
            ("[[rule]]\nhost = \"\"\ngroups = []", host, 2),
            (
                "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"admin\"",
                path,
                4,
            ),
            (
                "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/a/../b\"",
                path,
                4,
            ),
            (
                "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/a?b\"",
                path,
                4,
            ),
            (
                "[[rule]]\nhost = \"a\"\ngroups = []\npath = \"/%2e%2e/b\"",
                path,
                4,
            ),
            (
                "[[rule]]\nhost = \"a\"\ngroups = [\" \"]",
                "a group has no name",
                3,
            ),
            (
                "[[rule]]\nhost = \"a\"\ngroups = []\n[[rule]]\nhost = \"A.\"\npath = \"/\"\ngroups = []",
                "there is a rule for this host and path already",
                4,
            ),
            ("[[rule]]\nhost = \"a\"", "missing field `groups`", 1),
        ] {
            assert_eq!(said(text), (reason.to_owned(), line), "{text}");
        }
        for (text, line) in [
            ("[[rules]]\nhost = \"a\"", 1),
            ("[[rule]]\nhost = \"a\"\ngroup = []", 3),
            ("[[rule]]\nhost = \"a\"\ngroups = \"users\"", 3),
            ("[[rule]]\nhost = a", 2),
        ] {
            assert_eq!(said(text).1, line, "{text}: {}", said(text).0);
        }
    }

    proptest! {
        /// However a guarded path is written, who reads it as the guarded one finds it guarded.
        #[test]
        fn nothing_under_a_guarded_path_is_open(path in "(/|//|/;x/|/x/..;/)(admin|ADMIN|%61dmin|adm%2569n)(/|%2f|;|%5c)[a-z/;.%0-9]{0,12}") {
            let under = loosely(&path).is_none_or(|loose| is_under(&loose, "/admin") && !is_under(&loose, "/admin/help"));
            prop_assume!(under);
            prop_assert!(!admits("app.example.com", &path, &["users"]));
        }

        #[test]
        fn no_text_breaks_the_reader(text: String, path: String) {
            let _ = Access::parse(&text);
            let _ = Access::parse(RULES).unwrap().admits("app.example.com", &path, &[]);
        }
    }
}
