//! A browser or a program, with its cookies, and what people do with it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use url::form_urlencoded;

use crate::harness::smtp_sink::new_password;
use crate::harness::{
    Answer, Authenticator, PASSWORD, PATIENCE, Server, place, provider, wait_for,
};

/// How the mail begins that asks to confirm an address.
pub(crate) const CONFIRMATION: &str = "Subject: Please confirm your e-mail address";

/// How the mail begins that tells of a login from another browser.
pub(crate) const NEW_LOGIN: &str = "Subject: New login";

/// What a client asks to read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Accept {
    Json,
    Page,
    Text,
}

/// Somebody with a cookie jar who trusts this server's certificate and no other.
pub(crate) struct Visitor {
    agent: ureq::Agent,
    /// That of the server.
    dir: Arc<TempDir>,
    base: String,
    accept: Accept,
    pub(crate) cookies: RefCell<BTreeMap<String, String>>,
    /// The last of the recovery codes it was given last; tests use the others.
    spare_code: RefCell<String>,
    /// Fields sent with every request.
    pub(crate) headers: Vec<(String, String)>,
}

impl Visitor {
    pub(crate) fn new(server: &Server, accept: Accept) -> Self {
        let root = Certificate::from_der(&server.certificate).to_owned();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&[root]))
            .unversioned_rustls_crypto_provider(provider())
            .build();
        // Behind a balancer, each request goes another way.
        let idle = if place::is_database() { 0 } else { 3 };
        let config = ureq::Agent::config_builder()
            .max_idle_connections(idle)
            .max_idle_connections_per_host(idle)
            .tls_config(tls)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self {
            agent: config.into(),
            dir: Arc::clone(&server.dir),
            base: server.url(""),
            accept,
            cookies: RefCell::default(),
            spare_code: RefCell::default(),
            headers: Vec::new(),
        }
    }

    /// A program that reads JSON.
    pub(crate) fn program(server: &Server) -> Self {
        Self::new(server, Accept::Json)
    }

    /// The same browser, with a copy of its cookies, asking for another form.
    pub(crate) fn reading(&self, accept: Accept) -> Self {
        Self {
            agent: self.agent.clone(),
            dir: Arc::clone(&self.dir),
            base: self.base.clone(),
            accept,
            cookies: self.cookies.clone(),
            spare_code: self.spare_code.clone(),
            headers: self.headers.clone(),
        }
    }

    /// The same browser, with one more field in every request.
    pub(crate) fn sending(&self, name: &str, value: &str) -> Self {
        let mut visitor = self.reading(self.accept);
        visitor.headers.push((name.to_owned(), value.to_owned()));
        visitor
    }

    /// A request without a body, by any method.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        let uri = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder().method(method).uri(uri);
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        self.take(self.agent.run(request.body(()).unwrap()).unwrap())
    }

    /// An empty form, by any method that takes one.
    pub(crate) fn send_form(&self, method: &str, path: &str) -> Answer {
        let uri = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/x-www-form-urlencoded");
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        self.take(self.agent.run(request.body("").unwrap()).unwrap())
    }

    /// The same browser at another server, or at the same one started anew.
    pub(crate) fn at(&self, server: &Server) -> Self {
        let visitor = Self::new(server, self.accept);
        visitor.cookies.replace(self.cookies.borrow().clone());
        visitor.keep_code(&self.spare_code.borrow());
        visitor
    }

    /// The status of an answer, unless the server is gone before it has answered.
    pub(crate) fn try_post(&self, path: &str, form: &[(&str, &str)]) -> Option<u16> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let response = request.send_form(form.iter().copied()).ok()?;
        Some(response.status().as_u16())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        self.take(request.call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.post_as(path, "application/x-www-form-urlencoded", &body)
    }

    pub(crate) fn post_as(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = self
            .fields()
            .into_iter()
            .fold(request.content_type(content_type), |r, (name, value)| {
                r.header(name, value)
            });
        self.take(request.send(body).unwrap())
    }

    fn fields(&self) -> Vec<(String, String)> {
        let mut fields = self.headers.clone();
        let accept = match self.accept {
            Accept::Json => "application/json",
            Accept::Page => "text/html,application/xhtml+xml,*/*;q=0.8",
            Accept::Text => "*/*",
        };
        fields.push(("accept".to_owned(), accept.to_owned()));
        let cookies: Vec<String> = self
            .cookies
            .borrow()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            fields.push(("cookie".to_owned(), cookies.join("; ")));
        }
        fields
    }

    /// The code of an answer, unless the server is gone before it has answered.
    #[cfg(feature = "faults")]
    pub(crate) fn try_code(&self, path: &str, form: &[(&str, &str)]) -> Option<String> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = self
            .fields()
            .into_iter()
            .fold(request, |r, (name, value)| r.header(name, value));
        let response = request.send_form(form.iter().copied()).ok()?;
        let answer = self.try_take(response)?;
        Some(answer.json()["code"].as_str().unwrap().to_owned())
    }

    fn take(&self, response: ureq::http::Response<ureq::Body>) -> Answer {
        self.try_take(response).unwrap()
    }

    fn try_take(&self, mut response: ureq::http::Response<ureq::Body>) -> Option<Answer> {
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = response.body_mut().read_to_string().ok()?;
        for (_, cookie) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.borrow_mut();
            if cookie.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Some(Answer {
            status: response.status().as_u16(),
            headers,
            body,
        })
    }

    // What people do, in one word each. They fail the test if the product does not play along.

    /// Registers, and waits until the link to confirm the address has been mailed; that mail is
    /// taken out of the outbox, since few tests are about it.
    pub(crate) fn register(&self, name: &str) {
        self.sign_up(name);
        let user = format!("\"{name}\"");
        let told = |line: &str| line.contains("\"confirmation\"") && line.contains(&user);
        let begun = Instant::now();
        let mut is_written = true;
        // A log that goes elsewhere tells nothing.
        while begun.elapsed() < Duration::from_secs(2) {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            if let Some(line) = log.lines().find(|line| told(line)) {
                // Of many accounts, some are mailed nothing. The line may not be there to its end
                // yet.
                is_written = !line.contains("\"too_many\"");
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let to = format!("To: {name}@example.com\r\n");
        let take = || {
            let mails = fs::read_dir(self.dir.path().join("outbox"));
            let mut paths = mails
                .into_iter()
                .flatten()
                .flatten()
                .map(|mail| mail.path());
            let is_it = |path: &PathBuf| {
                let mail = fs::read_to_string(path).unwrap_or_default();
                mail.contains(CONFIRMATION) && mail.contains(&to)
            };
            let path = paths.find(is_it)?;
            // It may just have been sent.
            let _ = fs::remove_file(&path);
            Some(())
        };
        match place::mails_come_by_server(self.dir.path()) {
            true if is_written => wait_for("the confirmation", take),
            _ => take().unwrap_or_default(),
        }
    }

    /// Registers.
    pub(crate) fn sign_up(&self, name: &str) {
        let email = format!("{name}@example.com");
        let form = [
            ("username", name),
            ("email", &email),
            ("password", PASSWORD),
        ];
        self.post("/register", &form).expect("registered");
    }

    /// The first login of an account: enrols an authenticator.
    pub(crate) fn enrol(&self, name: &str) -> Authenticator {
        let answer = self.post("/login", &[("username", name), ("password", PASSWORD)]);
        answer.expect("enrol_required");
        let authenticator = Authenticator::new(answer.json()["secret"].as_str().unwrap());
        let answer = self.post("/secret_key", &[("secret", &authenticator.code())]);
        answer.expect("login_complete");
        if let Some(code) = answer.recovery_codes().last() {
            self.keep_code(code);
        }
        authenticator
    }

    /// Registers and enrols: a visitor with a session, who reads JSON.
    pub(crate) fn with_account(server: &Server, name: &str) -> (Self, Authenticator) {
        let visitor = Self::program(server);
        visitor.register(name);
        let authenticator = visitor.enrol(name);
        (visitor, authenticator)
    }

    /// A login with both factors.
    pub(crate) fn log_in(&self, name: &str, password: &str, authenticator: &Authenticator) {
        self.post("/login", &[("username", name), ("password", password)])
            .expect("code_required");
        self.post("/secret_key", &[("secret", &authenticator.code())])
            .expect("login_complete");
    }

    /// Asks for a new password and reads it in the mail.
    pub(crate) fn mailed_password(&self, server: &Server, name: &str) -> String {
        let program = self.reading(Accept::Json);
        program
            .post("/forgot_password", &[("username", name)])
            .expect("new_password_sent");
        let mail = server.next_mail("Your new password");
        new_password(&mail).to_owned()
    }

    /// Puts another password in place of the one that everybody has here.
    #[track_caller]
    pub(crate) fn change_password(&self, new: &str) {
        let form = [("current_password", PASSWORD), ("new_password", new)];
        self.post("/account/password", &form)
            .expect("password_changed");
    }

    /// Ten new recovery codes, for a visitor with a session.
    pub(crate) fn new_recovery_codes(&self) -> Vec<String> {
        let program = self.reading(Accept::Json);
        let spare = self.spare_code.borrow().clone();
        let form = [("current_password", PASSWORD), ("secret", &spare)];
        let answer = program.post("/account/recovery_codes", &form);
        answer.expect("recovery_codes");
        let codes = answer.recovery_codes();
        self.keep_code(&codes[9]);
        codes
    }

    fn keep_code(&self, code: &str) {
        self.spare_code.replace(code.to_owned());
    }

    /// Whether the session lasts. One that has ended may do so for a second more at another node.
    pub(crate) fn is_logged_in(&self) -> bool {
        let is_let_in = || self.get("/account").status == 200;
        is_let_in() && place::lasts(self.dir.path(), is_let_in)
    }
}
