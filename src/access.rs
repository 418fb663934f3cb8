//! Who may enter which application: the rules of `access.toml`, pure.
//!
//! Without the file, everybody who is logged in may enter. With it, only those may whom a rule lets
//! in; a rule may also let everybody in, logged in or not.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use url::{Host, Url};

use crate::host;

mod path;
mod vain;

use self::path::Reading;
pub use self::vain::Reach;

/// The group that stands for everybody who is logged in.
const EVERYBODY: &str = "*";

/// The rules, if there is a file with any.
#[derive(Clone, Default)]
pub struct Access {
    rules: Option<Vec<Rule>>,
}

/// Why a text cannot be read as rules.
#[derive(Debug, PartialEq)]
pub struct BadRules {
    pub reason: String,
    /// Where in the text, in bytes from its start.
    pub at: Option<usize>,
}

#[derive(Clone)]
struct Rule {
    host: Hosts,
    /// None for the whole host.
    path: Option<Guarded>,
    lets_in: Who,
}

/// Whom a rule lets in.
#[derive(Clone)]
enum Who {
    /// Everybody, known or not.
    Public,
    /// Accounts in one of these groups, by their access tokens too if `tokens` is set.
    Groups { groups: Vec<String>, tokens: bool },
}

/// The path of a rule.
#[derive(Clone)]
struct Guarded {
    /// As browsers write it, without a final slash.
    letters: String,
    /// As the most generous application reads it.
    segments: Reading,
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
    groups: Option<Spanned<Vec<String>>>,
    public: Option<Spanned<bool>>,
    tokens: Option<Spanned<bool>>,
}

/// What the rules say of one path at one host.
pub struct Ruling<'a> {
    /// The rules that decide together; `None` without a file.
    deciding: Option<Vec<&'a Rule>>,
}

impl Ruling<'_> {
    /// Whether an account in these groups may open the path.
    pub fn admits(&self, groups: &[String]) -> bool {
        self.deciding.is_none() || self.all(|rule| rule.lets_in(groups))
    }

    /// Whether everybody may open the path, known or not: wherever an application may find it.
    pub fn is_public(&self) -> bool {
        self.all(|rule| matches!(rule.lets_in, Who::Public))
    }

    /// Whether accounts may open the path by an access token.
    pub fn takes_tokens(&self) -> bool {
        self.all(|rule| matches!(rule.lets_in, Who::Groups { tokens: true, .. }))
    }

    fn all(&self, is_so: impl Fn(&Rule) -> bool) -> bool {
        let rules = self.deciding.as_deref().unwrap_or_default();
        !rules.is_empty() && rules.iter().all(|rule| is_so(rule))
    }
}

impl Access {
    /// Reads the rules.
    ///
    /// # Errors
    ///
    /// [`BadRules`] with the first mistake. A text with a mistake gives no rules at all.
    pub fn parse(text: &str) -> Result<Self, BadRules> {
        let file: File = toml::from_str(text).map_err(|error| BadRules {
            reason: error.message().to_owned(),
            at: error.span().map(|span| span.start),
        })?;
        let mut rules: Vec<Rule> = Vec::with_capacity(file.rule.len());
        for written in file.rule {
            let span = written.span();
            let rule = Rule::read(written.into_inner(), span.clone())?;
            let same = |other: &Rule| other.host == rule.host && other.letters() == rule.letters();
            if rules.iter().any(same) {
                return Err(bad(span, "there is a rule for this host and path already"));
            }
            rules.push(rule);
        }
        Ok(Self { rules: Some(rules) })
    }

    /// As [`Ruling::admits`], of the path at the host.
    pub fn admits(&self, host: &str, path: &str, groups: &[String]) -> bool {
        self.ruling(host, path).admits(groups)
    }

    /// What the rules say of the path at the host, which is given in lower case and without a final
    /// dot.
    ///
    /// Applications do not agree on what a path means: whether case matters, what is decoded how
    /// often, whether `.json` belongs to a name. The most specific rule that covers the path to the
    /// letter decides, together with every rule at least as specific under which some application
    /// may find the path. What holds is what all of them say; without any, nothing does.
    pub fn ruling(&self, host: &str, path: &str) -> Ruling<'_> {
        let deciding = self
            .rules
            .as_ref()
            .map(|rules| self.deciding(rules, host, path));
        Ruling { deciding }
    }

    fn deciding<'a>(&self, rules: &'a [Rule], host: &str, path: &str) -> Vec<&'a Rule> {
        if self.two_readings(host, path).is_some() {
            return Vec::new();
        }
        let here: Vec<&Rule> = rules.iter().filter(|rule| rule.host.has(host)).collect();
        let Some(certain) = here
            .iter()
            .filter(|rule| rule.surely_covers(path))
            .map(|rule| rule.rank())
            .max()
        else {
            return Vec::new();
        };
        let readings = path::readings(path);
        here.into_iter()
            .filter(|rule| rule.rank() >= certain)
            .filter(|rule| rule.surely_covers(path) || rule.may_cover(&readings))
            .collect()
    }

    /// The paths at the host that rules open to everybody, as they are written, in their order; `/`
    /// for a whole host.
    pub fn public_paths(&self, host: &str) -> Vec<&str> {
        let rules = self.rules.as_deref().unwrap_or_default().iter();
        let here = rules.filter(|rule| rule.host.has(host));
        here.map(|rule| match rule.letters() {
            "" => "/",
            letters => letters,
        })
        // A more specific rule may leave nothing of it.
        .filter(|path| self.ruling(host, path).is_public())
        .collect()
    }

    /// Why a path can be read in more than one way, if that matters. It does not where no rule for
    /// the host names a path.
    pub fn two_readings(&self, host: &str, path: &str) -> Option<&'static str> {
        let rules = self.rules.as_deref().unwrap_or_default();
        let matters = rules
            .iter()
            .any(|rule| rule.path.is_some() && rule.host.has(host));
        matters.then(|| path::two_readings(path)).flatten()
    }
}

impl Rule {
    /// `span` is where the whole rule stands.
    fn read(written: Written, span: Range<usize>) -> Result<Self, BadRules> {
        let host = read_host(written.host)?;
        let path = written.path.map(read_path).transpose()?;
        let is_set = |flag: &Spanned<bool>| *flag.get_ref();
        let public = written.public.filter(is_set);
        let tokens = written.tokens.filter(is_set);
        let lets_in = match (public, written.groups, tokens) {
            (Some(public), Some(_), _) => {
                return Err(bad(
                    public.span(),
                    "a rule has groups or public = true, not both",
                ));
            }
            (None, None, _) => return Err(bad(span, "a rule has groups, or public = true")),
            (Some(_), None, Some(tokens)) => {
                let why = "tokens = true goes with groups: what is public needs none";
                return Err(bad(tokens.span(), why));
            }
            (Some(_), None, None) => Who::Public,
            (None, Some(groups), tokens) => Who::Groups {
                groups: read_groups(groups)?,
                tokens: tokens.is_some(),
            },
        };
        Ok(Self {
            host,
            path,
            lets_in,
        })
    }

    fn letters(&self) -> &str {
        self.path.as_ref().map_or("", |path| &path.letters)
    }

    /// Greater for what is more specific.
    fn rank(&self) -> ((bool, usize), usize) {
        let depth = self.path.as_ref().map_or(0, |path| path.segments.depth());
        (self.host.rank(), depth)
    }

    /// Whether every application finds the path at or under the rule's.
    fn surely_covers(&self, path: &str) -> bool {
        path::is_under(path, self.letters())
    }

    /// Whether some application may find the path there.
    fn may_cover(&self, readings: &[Reading]) -> bool {
        let covers = |guarded: &Guarded| readings.iter().any(|r| r.is_under(&guarded.segments));
        self.path.as_ref().is_none_or(covers)
    }

    fn lets_in(&self, groups: &[String]) -> bool {
        match &self.lets_in {
            Who::Public => true,
            Who::Groups { groups: own, .. } => own
                .iter()
                .any(|allowed| allowed == EVERYBODY || groups.contains(allowed)),
        }
    }
}

impl Hosts {
    fn has(&self, host: &str) -> bool {
        match self {
            Self::One(one) => host == one,
            Self::Under(domain) => host::is_below(host, domain),
        }
    }

    /// Greater for the more specific.
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

fn read_groups(written: Spanned<Vec<String>>) -> Result<Vec<String>, BadRules> {
    let span = written.span();
    let groups = written.into_inner();
    match groups.iter().any(|group| group.trim().is_empty()) {
        true => Err(bad(span, "a group has no name")),
        false => Ok(groups),
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

/// A path that every application reads in the same way, apart from case.
fn read_path(written: Spanned<String>) -> Result<Guarded, BadRules> {
    let text = written.get_ref().as_str();
    let wrong = || {
        bad(
            written.span(),
            "path is no plain path such as /admin, without dots, stars, parameters or a query",
        )
    };
    let plain = text.starts_with('/') && !text.contains(['?', '#', '*']);
    let url = Url::parse(&format!("https://host{text}")).ok();
    let url = url.filter(|_| plain && path::two_readings(text).is_none());
    let url = url.ok_or_else(wrong)?;
    let letters = path::unescaped(url.path().trim_end_matches('/'));
    let depth = letters.split('/').skip(1).count();
    let readings = path::readings(&letters);
    // A path that is still encoded after decoding means different things to different applications.
    match readings.last() {
        Some(reading) if reading.depth() == depth && readings.len() <= 2 => Ok(Guarded {
            letters,
            segments: reading.clone(),
        }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
