//! Rules that are read and never count. They are taken as they are: the next setting may make sense
//! of them, but whoever wrote them expects something now.

use crate::access::{Access, Hosts, Rule, Who};
use crate::host;

/// Where visitors are asked about.
pub struct Reach {
    /// The host of the site itself.
    pub own: String,
    /// The domain in which the session is shared, if it is.
    pub domain: Option<String>,
}

impl Access {
    /// The rules that never count, each with why, as one line; `None` if all do.
    pub fn in_vain(&self, reach: &Reach) -> Option<String> {
        let rules = self.rules.as_deref().unwrap_or_default().iter();
        let said = rules.filter_map(|rule| {
            let why = reach.why_never_asked(&rule.host).or_else(|| rule.idle())?;
            Some(format!("{} ({why})", rule.written()))
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join(", "))
    }
}

impl Rule {
    /// Why it lets nobody in whom it is written for.
    fn idle(&self) -> Option<String> {
        match &self.lets_in {
            Who::Groups { groups, tokens } if *tokens && groups.is_empty() => {
                Some("tokens = true, and no groups whose members could have some".to_owned())
            }
            Who::Groups { .. } | Who::Public => None,
        }
    }

    fn written(&self) -> String {
        let host = match &self.host {
            Hosts::One(one) => one.clone(),
            Hosts::Under(domain) => format!("*.{domain}"),
        };
        format!("{host}{}", self.letters())
    }
}

impl Reach {
    fn why_never_asked(&self, hosts: &Hosts) -> Option<String> {
        let Some(domain) = self.domain.as_deref() else {
            let reaches = hosts.has(&self.own);
            return (!reaches).then(|| "without --cookie-domain".to_owned());
        };
        match hosts {
            Hosts::One(one) if *one == self.own => Some("auth_user itself".to_owned()),
            Hosts::One(one) if host::is_inside(one, domain) => None,
            // Some hosts under the one are under the other.
            Hosts::Under(under)
                if host::is_inside(under, domain) || host::is_below(domain, under) =>
            {
                None
            }
            Hosts::One(_) | Hosts::Under(_) => Some(format!("outside --cookie-domain {domain}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(rules: &[(&str, &str)], domain: Option<&str>) -> Option<String> {
        let rule =
            |(host, lets_in): &(&str, &str)| format!("[[rule]]\nhost = \"{host}\"\n{lets_in}\n");
        let text: String = rules.iter().map(rule).collect();
        let reach = Reach {
            own: "auth.example.com".to_owned(),
            domain: domain.map(str::to_owned),
        };
        Access::parse(&text).unwrap().in_vain(&reach)
    }

    const ALL: &str = "groups = [\"*\"]";

    #[test]
    fn rules_for_hosts_that_are_never_asked_about_are_named() {
        let domain = Some("example.com");
        for host in [
            "app.example.com",
            "example.com",
            "*.example.com",
            "*.lab.example.com",
            "*.com",
        ] {
            assert_eq!(said(&[(host, ALL)], domain), None, "{host}");
        }
        let outside = "outside --cookie-domain example.com";
        for (host, why) in [
            ("app.example.org", outside),
            ("evilexample.com", outside),
            ("*.example.org", outside),
            ("*.evilexample.com", outside),
            ("auth.example.com", "auth_user itself"),
        ] {
            let expected = format!("{host} ({why})");
            assert_eq!(said(&[(host, ALL)], domain), Some(expected), "{host}");
        }
        assert_eq!(
            said(&[("app.example.com", ALL)], None).unwrap(),
            "app.example.com (without --cookie-domain)"
        );
        for host in ["auth.example.com", "*.example.com"] {
            assert_eq!(said(&[(host, ALL)], None), None, "{host}");
        }
    }

    #[test]
    fn a_rule_for_tokens_of_nobody_is_named_and_all_are_in_one_line() {
        let domain = Some("example.com");
        let rules = [
            (
                "a.example.com",
                "path = \"/dav\"\ngroups = []\ntokens = true",
            ),
            ("b.example.com", "groups = []"),
            ("c.example.com", "groups = [\"staff\"]\ntokens = true"),
            ("d.example.com", "public = true"),
            ("app.example.org", "public = true"),
        ];
        assert_eq!(
            said(&rules, domain).unwrap(),
            "a.example.com/dav (tokens = true, and no groups whose members could have some), \
             app.example.org (outside --cookie-domain example.com)"
        );
    }

    #[test]
    fn without_rules_nothing_is_said() {
        let reach = Reach {
            own: "auth.example.com".to_owned(),
            domain: None,
        };
        assert_eq!(Access::default().in_vain(&reach), None);
    }
}
