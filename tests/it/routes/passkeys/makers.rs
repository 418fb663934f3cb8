//! Passkeys by programs of others: an authenticator that is none of ours (soft-webauthn), and a
//! judge of ours and of what it is asked (py_webauthn).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::passkey::{
    ALGORITHMS, Device, ELIGIBLE, Fields, PRESENT, Passkey, VERIFIED, device, encoded, making, with,
};
use crate::harness::{Server, Visitor};
use crate::routes::passkeys::{is_wrong, kept};

/// Where `tests/setup` puts them.
const PYTHON: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/passkeys/venv/bin/python"
);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/passkeys/others.py");

/// The two programs, with one device. Killed when dropped.
struct Others {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Others {
    fn start() -> Self {
        let mut child = Command::new(PYTHON)
            .arg(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{PYTHON}, which tests/setup makes: {error}"));
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let stdout = BufReader::new(stdout);
        Self {
            child,
            stdin,
            stdout,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.stdin, "{question}").unwrap();
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    /// What a browser sends that has the authenticator do this.
    fn fields(&mut self, act: &str, options: &Value, origin: &str) -> Fields {
        let answer = self.ask(&json!({ "act": act, "options": options, "origin": origin }));
        ["client", "attestation", "data", "signature", "id", "user"]
            .into_iter()
            .filter_map(|name| Some((name, answer[name].as_str()?.to_owned())))
            .collect()
    }

    /// What the judge says of a form; of the use of a passkey by what is kept of it.
    fn judge(&mut self, fields: &Fields, options: &Value, origin: &str, kept: &Value) -> Value {
        let act = match kept {
            Value::Null => "judge_making",
            _ => "judge_using",
        };
        let fields: Value = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        self.ask(&json!({
            "act": act, "fields": fields, "options": options, "origin": origin, "kept": kept,
        }))
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_authenticator_that_is_none_of_ours_is_the_second_step_and_no_more() {
    let server = Server::start();
    let mut others = Others::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let here = server.url("");

    let made = others.fields("make", &alice.options(&codes[0]), &here);
    alice
        .send("/account/passkeys/confirm", &made)
        .expect("passkey_added");
    let visitor = Visitor::program(&server);
    for count in 1..=2 {
        let asked = visitor.asked_after_password("alice");
        let used = others.fields("use", &asked, &here);
        visitor
            .send("/secret_key/passkey", &used)
            .expect("login_complete");
        assert_eq!(kept(&server, "alice")["passkeys"][0]["count"], count);
        visitor.post("/logout", &[]);
    }

    // It checks nobody, so it is good for no login alone; nor from a page that is none of ours.
    let used = others.fields("use", &visitor.asked(), &here);
    is_wrong(&visitor.send("/login/passkey", &used));
    let asked = visitor.asked_after_password("alice");
    let used = others.fields("use", &asked, "https://localhost");
    is_wrong(&visitor.send("/secret_key/passkey", &used));
}

#[test]
fn another_judge_reads_what_is_asked_as_it_was_meant() {
    let server = Server::start();
    let mut others = Others::start();
    let (alice, codes, _) = Visitor::with_passkey(&server, "alice");
    let visitor = Visitor::program(&server);
    let asked = [
        alice.options(&codes[0]),
        visitor.asked(),
        visitor.asked_after_password("alice"),
    ];

    for mut options in asked {
        let mut read = others.ask(&json!({ "act": "parsed", "options": options }));

        // It writes a default that is left out, and leaves out a list of nothing.
        if let Some(selection) = read.get_mut("authenticatorSelection") {
            let selection = selection.as_object_mut().unwrap();
            assert_eq!(selection.remove("requireResidentKey"), Some(json!(false)));
        }
        for list in ["allowCredentials", "excludeCredentials"] {
            let known = options.get_mut(list).and_then(Value::as_array_mut);
            for one in known.into_iter().flatten() {
                let ways = one.as_object_mut().unwrap().remove("transports");
                assert_eq!(ways, Some(json!([])));
            }
        }
        assert_eq!(read, options);
    }
}

type Spoil = fn(&mut Device);

/// What makes a passkey, or its use, good for nothing.
const SPOILT: [(&str, Spoil); 4] = [
    ("another origin", |device| device.origin.push('0')),
    ("another site", |device| {
        device.rp_id = "example.com".to_owned();
    }),
    ("nobody there", |device| device.flags &= !PRESENT),
    ("other bytes behind", |device| device.more.push(0)),
];

#[test]
fn another_judge_agrees_about_new_passkeys() {
    let server = Server::start();
    let mut others = Others::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let here = server.url("");
    let whole = |device: &Device, options: &Value| {
        with(making(device, options), "id", &encoded(&device.id))
    };

    for (algorithm, code) in ALGORITHMS.into_iter().zip(&codes) {
        let options = alice.options(code);
        for (why, spoil) in SPOILT {
            let mut device = device(&server, algorithm);
            spoil(&mut device);
            let theirs = others.judge(&whole(&device, &options), &options, &here, &Value::Null);
            assert!(theirs["refused"].is_string(), "{why}: {theirs}");
            let ours = alice.send("/account/passkeys/confirm", &making(&device, &options));
            assert_eq!(ours.json()["code"], "passkey_refused", "{why}");
        }
        let mut device = device(&server, algorithm);
        device.flags |= ELIGIBLE;
        let theirs = others.judge(&whole(&device, &options), &options, &here, &Value::Null);
        alice
            .send("/account/passkeys/confirm", &making(&device, &options))
            .expect("passkey_added");
        let account = kept(&server, "alice");
        let ours = account["passkeys"].as_array().unwrap().last().unwrap();
        for member in ["id", "key", "count", "verified", "synced"] {
            assert_eq!(theirs[member], ours[member], "{algorithm:?}: {theirs}");
        }
    }
}

#[test]
fn another_judge_agrees_about_their_use() {
    let server = Server::start();
    let mut others = Others::start();
    let (alice, _) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let here = server.url("");
    let visitor = Visitor::program(&server);
    let unverified: (&str, Spoil) = ("nobody checked", |device| device.flags &= !VERIFIED);
    let behind: (&str, Spoil) = ("a counter behind", |device| device.count = 0);

    for (algorithm, code) in ALGORITHMS.into_iter().zip(&codes) {
        let mut passkey = alice.add(device(&server, algorithm), code);
        let known = kept(&server, "alice")["passkeys"].clone();
        let known = known.as_array().unwrap().last().unwrap().clone();
        let asked = visitor.asked();
        for (why, spoil) in SPOILT.into_iter().chain([unverified, behind]) {
            let used = spoilt(&mut passkey, spoil, &asked, &server);
            let theirs = others.judge(&used, &asked, &here, &known);
            assert!(theirs["refused"].is_string(), "{why}: {theirs}");
            is_wrong(&visitor.send("/login/passkey", &used));
        }
        let used = passkey.using(&asked);
        let theirs = others.judge(&used, &asked, &here, &known);
        let id = encoded(&passkey.device.id);
        assert_eq!(theirs, json!({ "id": id, "count": 2 }), "{algorithm:?}");
        visitor
            .send("/login/passkey", &used)
            .expect("login_complete");
        let again = kept(&server, "alice")["passkeys"].clone();
        let again = again.as_array().unwrap().last().unwrap().clone();
        assert_eq!(again["count"], theirs["count"]);
    }
}

/// The use of a passkey by a device that is spoilt for once.
fn spoilt(passkey: &mut Passkey, spoil: Spoil, asked: &Value, server: &Server) -> Fields {
    let (flags, count) = (passkey.device.flags, passkey.device.count);
    spoil(&mut passkey.device);
    let used = passkey.using(asked);
    let device = &mut passkey.device;
    (device.flags, device.count) = (flags, count);
    device.more.clear();
    device.rp_id = "localhost".to_owned();
    device.origin = server.url("");
    used
}
