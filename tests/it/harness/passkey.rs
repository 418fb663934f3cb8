//! A passkey made of software, and the forms by which a browser makes and uses it.

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use crate::harness::{Answer, PASSWORD, Server, Visitor};

#[path = "../../../src/accounts/passkey/tests/authenticator.rs"]
mod authenticator;

pub(crate) use authenticator::{
    ALGORITHMS, ATTESTED, Algorithm, Authenticator as Device, BACKED_UP, ELIGIBLE, EXTENSIONS,
    PRESENT, VERIFIED,
};

/// The fields of a form.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// A device, and what it was told whose passkey it holds.
pub(crate) struct Passkey {
    pub(crate) device: Device,
    pub(crate) user: Vec<u8>,
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

fn decoded(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

/// What was asked to be signed.
pub(crate) fn challenge(asked: &Value) -> &str {
    asked["challenge"].as_str().unwrap()
}

/// A device that a browser at this server's pages reaches.
pub(crate) fn device(server: &Server, algorithm: Algorithm) -> Device {
    Device::new(algorithm, "localhost", &server.url(""))
}

/// What a browser sends of a new passkey.
pub(crate) fn making(device: &Device, options: &Value) -> Fields {
    let (client, attestation) = device.make(challenge(options));
    vec![
        ("client", encoded(client)),
        ("attestation", encoded(attestation)),
    ]
}

/// The same form with another value in this field, or with that field besides.
pub(crate) fn with(mut fields: Fields, field: &'static str, value: &str) -> Fields {
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value.to_owned()));
    fields
}

impl Passkey {
    /// What a browser sends when this passkey is used for what was asked; it counts.
    pub(crate) fn using(&mut self, asked: &Value) -> Fields {
        self.device.count += 1;
        let (client, data, signature) = self.device.assert(challenge(asked));
        vec![
            ("client", encoded(client)),
            ("data", encoded(data)),
            ("signature", encoded(signature)),
            ("id", encoded(&self.device.id)),
            ("user", encoded(&self.user)),
        ]
    }

    /// Logs in alone with it.
    pub(crate) fn log_in(&mut self, visitor: &Visitor) -> Answer {
        let fields = self.using(&visitor.asked());
        visitor.send("/login/passkey", &fields)
    }
}

impl Visitor {
    /// Sends a form.
    pub(crate) fn send(&self, path: &str, fields: &Fields) -> Answer {
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.post(path, &fields)
    }

    /// What the login page asks a passkey for.
    pub(crate) fn asked(&self) -> Value {
        let page = self.reading(crate::harness::Accept::Json).get("/login");
        page.expect("log_in");
        page.json()["passkey"].clone()
    }

    /// The first step of a login, with the password: what it asks a passkey for.
    pub(crate) fn asked_after_password(&self, name: &str) -> Value {
        let login = [("username", name), ("password", PASSWORD)];
        let answer = self.post("/login", &login);
        answer.expect("code_required");
        answer.json()["passkey"].clone()
    }

    /// What makes a passkey for a visitor with a session, for a code.
    pub(crate) fn options(&self, code: &str) -> Value {
        let form = [("current_password", PASSWORD), ("secret", code)];
        let answer = self.post("/account/passkeys", &form);
        answer.expect("passkey_options");
        answer.json()["options"].clone()
    }

    /// Makes a passkey in this device, for a code.
    pub(crate) fn add(&self, device: Device, code: &str) -> Passkey {
        let options = self.options(code);
        let made = self.send("/account/passkeys/confirm", &making(&device, &options));
        made.expect("passkey_added");
        let user = decoded(&options["user"]["id"]);
        Passkey { device, user }
    }

    /// Somebody with a session, a passkey, and nine recovery codes.
    pub(crate) fn with_passkey(server: &Server, name: &str) -> (Self, Vec<String>, Passkey) {
        let (visitor, _) = Self::with_account(server, name);
        let mut codes = visitor.new_recovery_codes();
        let device = device(server, Algorithm::Es256);
        let passkey = visitor.add(device, &codes.remove(0));
        (visitor, codes, passkey)
    }
}
