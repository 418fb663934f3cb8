//! The form an answer takes: a page, JSON or text, by what the client asked for, with the header
//! fields that every answer carries.

use crate::http::{Request, Response};
use crate::pages::{self, Page, Site, Way};
use crate::reply::{Outcome, Reply};

/// Two years (Mozilla's server-side TLS guidelines, 5.7).
const STRICT_TRANSPORT_SECURITY: &str = "max-age=63072000";

/// How this server answers.
pub struct Presenter {
    site: Site,
    content_security_policy: String,
    /// Whether browsers are told to insist on TLS.
    hsts: Box<dyn Fn() -> bool + Send + Sync>,
    compat: bool,
}

impl Presenter {
    /// `hsts` is asked for each answer, since the certificate may change while we run.
    pub fn new(
        site: Site,
        cookie_domain: Option<&str>,
        hsts: impl Fn() -> bool + Send + Sync + 'static,
        compat: bool,
    ) -> Self {
        // Chromium also asks this list where a form's answer redirects to. Without a port it would
        // be 443 alone, and `rd` may name any.
        let targets = cookie_domain
            .map(|domain| format!(" https://*.{domain} https://{domain}:* https://*.{domain}:*"));
        let content_security_policy = format!(
            "default-src 'none'; style-src '{}'; form-action 'self'{}; frame-ancestors 'none'; \
             base-uri 'none'",
            pages::style_hash(),
            targets.unwrap_or_default()
        );
        Self {
            site,
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
            Outcome::Shown => Form::Page,
            Outcome::Healthy => Form::Text,
            _ => wanted(accept),
        };
        if self.compat && reply.outcome.known_to_the_script() {
            self.script(reply, form)
        } else {
            self.usual(reply, form)
        }
    }

    /// An answer to what never became a request.
    pub fn refuse(&self, outcome: Outcome, accept: Option<&str>) -> Response {
        self.usual(Reply::from(outcome), wanted(accept))
    }

    fn usual(&self, reply: Reply, form: Form) -> Response {
        let outcome = &reply.outcome;
        let mut headers = self.headers(&reply);
        let (status, content_type, body) = match form {
            Form::Page if reply.location.is_some() => {
                let location = reply.location.clone().unwrap_or_default();
                headers.push(("Location", location));
                (303, "text/plain; charset=utf-8", String::new())
            }
            Form::Page => (
                outcome.status(),
                "text/html; charset=utf-8",
                self.html(reply),
            ),
            Form::Json => (
                outcome.status(),
                "application/json",
                outcome.json().to_string(),
            ),
            Form::Text => (
                outcome.status(),
                "text/plain; charset=utf-8",
                outcome.text(),
            ),
        };
        headers.push(("Content-Type", content_type.to_owned()));
        Response {
            status,
            headers,
            body: body.into_bytes(),
        }
    }

    /// The form the script gives its answers: always 200, and to programs the body alone.
    fn script(&self, reply: Reply, form: Form) -> Response {
        let mut headers = self.headers(&reply);
        let as_it_is = form != Form::Page || matches!(reply.outcome, Outcome::ScriptPage(_));
        let (content_type, body) = if as_it_is {
            ("text/html", reply.outcome.message().into_owned())
        } else {
            ("text/html; charset=utf-8", self.html(reply))
        };
        headers.push(("Content-type", content_type.to_owned()));
        Response {
            status: 200,
            headers,
            body: body.into_bytes(),
        }
    }

    fn html(&self, reply: Reply) -> String {
        let outcome = reply.outcome;
        let further = reply.location.map(|to| Way::new(to, "Continue"));
        let onward = reply.onward.or(further);
        let page = reply.page.unwrap_or_else(|| Page::Message {
            title: outcome.title().to_owned(),
            text: outcome.message().into_owned(),
            advice: outcome.advice(),
            onward: onward.unwrap_or_else(|| Way::new("/account", "Your account")),
            else_to: Some(Way::new("/login", "Log in")),
        });
        pages::render(&self.site, &page)
    }

    /// The fields every answer carries, and those of this one.
    fn headers(&self, reply: &Reply) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (
                "Content-Security-Policy",
                self.content_security_policy.clone(),
            ),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
            ("Cross-Origin-Opener-Policy", "same-origin".to_owned()),
            ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
        ];
        if (self.hsts)() {
            headers.push((
                "Strict-Transport-Security",
                STRICT_TRANSPORT_SECURITY.to_owned(),
            ));
        }
        if let Outcome::MethodNotAllowed(allow) = reply.outcome {
            headers.push(("Allow", allow.to_owned()));
        }
        if let Some(seconds) = reply.outcome.retry_after() {
            headers.push(("Retry-After", seconds.to_string()));
        }
        if reply.clear_site_data {
            headers.push(("Clear-Site-Data", "\"cookies\", \"storage\"".to_owned()));
        }
        headers.extend(
            reply
                .cookies
                .iter()
                .map(|cookie| ("Set-Cookie", cookie.clone())),
        );
        headers
    }
}

/// What a client wants to read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Json,
    Page,
    Text,
}

/// A media type counts only where it is named: `*/*` is what programs send who do not care.
fn wanted(accept: Option<&str>) -> Form {
    let quality = |name: &str| {
        accept
            .unwrap_or_default()
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let named = parts.next()?.eq_ignore_ascii_case(name);
                let quality = parts.find_map(|part| part.strip_prefix("q="));
                named.then(|| quality.map_or(1.0, |q| q.parse().unwrap_or(0.0)))
            })
            .fold(0.0_f32, f32::max)
    };
    let (page, json) = (quality("text/html"), quality("application/json"));
    if page > 0.0 && page >= json {
        Form::Page
    } else if json > 0.0 {
        Form::Json
    } else {
        Form::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_named() {
        for (accept, form) in [
            (None, Form::Text),
            (Some("*/*"), Form::Text),
            (Some("text/*"), Form::Text),
            (Some("text/plain"), Form::Text),
            (Some("application/json"), Form::Json),
            (Some("application/json, text/plain, */*"), Form::Json),
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                Form::Page,
            ),
            (Some("TEXT/HTML"), Form::Page),
            (Some("application/json;q=0.5, text/html;q=0.4"), Form::Json),
            (Some("text/html;q=0"), Form::Text),
            (Some("text/html;q=x, application/json"), Form::Json),
            (Some("text/htmlx"), Form::Text),
        ] {
            assert_eq!(wanted(accept), form, "{accept:?}");
        }
    }
}
