//! The form an answer takes: a page, JSON or text, by what the client asked for, with the header
//! fields that every answer carries.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::http::{Request, Response, quality};
use crate::pages::message::{Message, Way};
use crate::pages::{self, Page, Renderer, Site};
use crate::reply::{Identity, Outcome, Reply};

/// For how long browsers insist on TLS (Mozilla's server-side TLS guidelines, 5.7).
const TWO_YEARS: &str = "max-age=63072000";

/// Gives replies their form.
pub struct Presenter {
    pages: Renderer,
    content_security_policy: String,
    /// The same for pages with the script.
    policy_with_script: String,
    /// Whether browsers are told to insist on TLS.
    hsts: Box<dyn Fn() -> bool + Send + Sync>,
    compat: bool,
}

impl Presenter {
    /// `hsts` says whether browsers are told to insist on TLS. It is called for each answer, since
    /// the certificate may change while the server runs.
    pub fn new(
        site: Site,
        cookie_domain: Option<&str>,
        hsts: impl Fn() -> bool + Send + Sync + 'static,
        compat: bool,
    ) -> Self {
        // Chromium also checks this list when a form's answer redirects. Without a port, only 443
        // would be allowed, and `rd` may name any.
        let targets = cookie_domain
            .map(|domain| format!(" https://*.{domain} https://{domain}:* https://*.{domain}:*"));
        let images = site.logo.as_ref().map(|_| "img-src data:; ");
        let content_security_policy = format!(
            "default-src 'none'; {}style-src '{}'; form-action 'self'{}; frame-ancestors 'none'; \
             base-uri 'none'",
            images.unwrap_or_default(),
            pages::style_hash(),
            targets.unwrap_or_default()
        );
        // The script makes no HTML, so nobody can have it make any.
        let policy_with_script = format!(
            "{content_security_policy}; script-src '{}'; require-trusted-types-for 'script'; \
             trusted-types 'none'",
            pages::script_hash()
        );
        Self {
            pages: Renderer::new(site),
            policy_with_script,
            content_security_policy,
            hsts: Box::new(hsts),
            compat,
        }
    }

    /// Gives a reply the form the client asked for.
    pub fn present(&self, request: &Request, reply: Reply) -> Response {
        let accept = request.header("accept");
        let form = match reply.outcome {
            // A page is a page, whatever is asked for.
            Outcome::Shown => Format::Page,
            Outcome::LogIn(_) => match wanted(accept) {
                Format::Text => Format::Page,
                form => form,
            },
            Outcome::Healthy | Outcome::Unhealthy(_) => Format::Text,
            // Only a proxy reads this, if anybody does.
            _ if reply.pointer.is_some() => Format::Text,
            Outcome::Admitted | Outcome::BadTarget(..) | Outcome::SentToLogin { .. } => {
                Format::Text
            }
            _ => wanted(accept),
        };
        if self.compat && reply.outcome.row().in_script {
            self.script(reply, form)
        } else {
            self.usual(reply, form)
        }
    }

    /// An answer to what never became a request.
    pub fn refuse(&self, reply: Reply, accept: Option<&str>) -> Response {
        let form = if reply.pointer.is_some() {
            Format::Text
        } else {
            wanted(accept)
        };
        self.usual(reply, form)
    }

    fn usual(&self, reply: Reply, form: Format) -> Response {
        let outcome = &reply.outcome;
        let mut headers = self.headers(&reply, form);
        let passed_on = passed_on(&reply);
        let (status, content_type, body) = match form {
            Format::Page if reply.location.is_some() => {
                let location = reply.location.clone().unwrap_or_default();
                headers.push(("Location", location.into()));
                (303, "text/plain; charset=utf-8", String::new())
            }
            Format::Page => (
                outcome.status(),
                "text/html; charset=utf-8",
                self.html(reply),
            ),
            Format::Json => (
                outcome.status(),
                "application/json",
                outcome.json().to_string(),
            ),
            Format::Text => (
                outcome.status(),
                "text/plain; charset=utf-8",
                outcome.text(),
            ),
        };
        headers.push(("Content-Type", content_type.into()));
        Response {
            status,
            headers,
            passed_on,
            body: body.into_bytes(),
        }
    }

    /// The form that the script gives its answers: always 200, and for programs the body alone.
    fn script(&self, reply: Reply, form: Format) -> Response {
        let mut headers = self.headers(&reply, form);
        let as_it_is = form != Format::Page || matches!(reply.outcome, Outcome::ScriptPage(_));
        let (content_type, body) = if as_it_is {
            ("text/html", reply.outcome.message().into_owned())
        } else {
            ("text/html; charset=utf-8", self.html(reply))
        };
        headers.push(("Content-type", content_type.into()));
        Response {
            status: 200,
            headers,
            passed_on: Vec::new(),
            body: body.into_bytes(),
        }
    }

    fn html(&self, reply: Reply) -> String {
        let outcome = reply.outcome;
        let further = reply.location.map(|to| Way::new(to, "Continue"));
        let onward = reply.onward.or(further);
        let usual = || -> Box<dyn Page> {
            Box::new(Message {
                title: outcome.title().to_owned(),
                text: outcome.message().into_owned(),
                advice: outcome.row().advice.into_owned(),
                onward: onward.unwrap_or_else(|| Way::new("/account", "Your account")),
                else_to: Some(Way::new("/login", "Log in")),
            })
        };
        let page = reply.page.unwrap_or_else(usual);
        self.pages.render(page.as_ref())
    }

    /// The fields every answer carries, and those of this one.
    fn headers(&self, reply: &Reply, form: Format) -> Vec<Field> {
        let is_page = form == Format::Page && reply.location.is_none();
        let policy = match &reply.page {
            Some(page) if is_page && page.needs_script() => &self.policy_with_script,
            _ => &self.content_security_policy,
        };
        let mut headers: Vec<Field> = vec![
            ("Content-Security-Policy", policy.clone().into()),
            ("X-Content-Type-Options", "nosniff".into()),
            // Without this, old browsers send `Origin: null` with our own forms.
            ("Referrer-Policy", "same-origin".into()),
            ("Cross-Origin-Opener-Policy", "same-origin".into()),
            ("Cross-Origin-Resource-Policy", "same-origin".into()),
            ("Cache-Control", "no-store".into()),
        ];
        if (self.hsts)() {
            headers.push(("Strict-Transport-Security", TWO_YEARS.into()));
        }
        if let Outcome::LogIn(_) = reply.outcome {
            headers.push(("Vary", "Accept".into()));
        }
        if let Outcome::MethodNotAllowed(allow) = reply.outcome {
            headers.push(("Allow", allow.into()));
        }
        if let Some(seconds) = reply.outcome.retry_after() {
            headers.push(("Retry-After", seconds.to_string().into()));
        }
        if let Some(host) = &reply.challenge {
            // RFC 7617, section 2.1.
            let challenge = format!("Basic realm=\"{host}\", charset=\"UTF-8\"");
            headers.push(("WWW-Authenticate", challenge.into()));
        }
        if let Some(location) = &reply.pointer {
            headers.push(("Location", location.clone().into()));
        }
        if let Some(identity) = &reply.identity {
            headers.extend(identity_fields(identity));
            let cookies = identity.cookies.iter().filter(|all| !all.is_empty());
            headers.extend(cookies.map(|all| ("Cookie", all.clone().into())));
        }
        if reply.clear_site_data {
            // Not `"cookies"`: that would also clear the cookies of every host beside ours, and the
            // one by which this browser is known.
            headers.push(("Clear-Site-Data", "\"storage\"".into()));
        }
        let cookies = reply.cookies.iter();
        headers.extend(cookies.map(|cookie| ("Set-Cookie", cookie.clone().into())));
        headers
    }
}

/// What the application gets as the visitor sent it.
fn passed_on(reply: &Reply) -> Vec<(&'static str, Vec<u8>)> {
    let fields = reply.identity.iter().flat_map(|who| &who.authorization);
    fields
        .map(|value| ("Authorization", value.clone()))
        .collect()
}

/// A header field.
type Field = (&'static str, Cow<'static, str>);

/// What an application is told about the visitor. No field is ever empty: a proxy might then let
/// the client's own field through (Caddy before 2.11.2 did).
fn identity_fields(identity: &Identity) -> [Field; 5] {
    let groups: Vec<String> = identity
        .groups
        .iter()
        .map(|group| field_value(group, IN_A_LIST))
        .filter(|group| !group.is_empty())
        .collect();
    let groups = match groups.is_empty() {
        true => NO_GROUP.into(),
        false => groups.join(",").into(),
    };
    [
        ("Remote-User", field_value(&identity.user, ALONE).into()),
        ("Remote-Email", field_value(&identity.email, ALONE).into()),
        ("Remote-Name", field_value(&identity.name, ALONE).into()),
        ("Remote-Groups", groups),
        ("Remote-Id", field_value(&identity.id, ALONE).into()),
    ]
}

/// Stands for having no group: a name that nobody would give rights to.
const NO_GROUP: &str = "-";

/// What is percent-encoded in a field besides non-ASCII characters; `%` itself, so that it can be
/// undone.
const ALONE: &AsciiSet = &CONTROLS.add(b'%');
/// A comma would make two groups of one.
const IN_A_LIST: &AsciiSet = &ALONE.add(b',');

fn field_value(text: &str, encoded: &'static AsciiSet) -> String {
    utf8_percent_encode(text.trim(), encoded).to_string()
}

/// What a client wants to read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Format {
    Json,
    Page,
    Text,
}

/// A media type counts only where it is named: programs that do not care send `*/*`.
fn wanted(accept: Option<&str>) -> Format {
    let quality = |name| quality(accept.unwrap_or_default(), name);
    let (page, json) = (quality("text/html"), quality("application/json"));
    if page > 0.0 && page >= json {
        Format::Page
    } else if json > 0.0 {
        Format::Json
    } else {
        Format::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_named() {
        for (accept, form) in [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/*"), Format::Text),
            (Some("text/plain"), Format::Text),
            (Some("application/json"), Format::Json),
            (Some("application/json, text/plain, */*"), Format::Json),
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                Format::Page,
            ),
            (Some("TEXT/HTML"), Format::Page),
            (
                Some("application/json;q=0.5, text/html;q=0.4"),
                Format::Json,
            ),
            (Some("text/html;q=0"), Format::Text),
            (Some("text/html;q=x, application/json"), Format::Json),
            (Some("text/htmlx"), Format::Text),
        ] {
            assert_eq!(wanted(accept), form, "{accept:?}");
        }
    }
}
