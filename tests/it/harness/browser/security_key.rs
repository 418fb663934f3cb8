//! Authenticators that the browser makes up for tests (Web Authentication, Level 3, section 11).

use serde_json::{Value, json};

use crate::harness::Browser;

/// An authenticator of a browser.
pub(crate) struct SecurityKey(String);

impl Browser {
    /// One that is built into the device: it knows its owner's face, and keeps passkeys.
    #[track_caller]
    pub(crate) fn has_platform(&self) -> SecurityKey {
        self.plug_in(&json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true,
        }))
    }

    /// The same, whose passkeys come to its owner's other devices too.
    #[track_caller]
    pub(crate) fn has_synced_platform(&self) -> SecurityKey {
        self.plug_in(&json!({
            "protocol": "ctap2_1", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true,
            "defaultBackupEligibility": true, "defaultBackupState": true,
        }))
    }

    /// An old one, that knows nobody and only wants to be touched.
    #[track_caller]
    pub(crate) fn has_old_key(&self) -> SecurityKey {
        self.plug_in(&json!({
            "protocol": "ctap1/u2f", "transport": "usb", "hasResidentKey": false,
            "hasUserVerification": false,
        }))
    }

    /// Has it offer no passkey where a name is typed, so that a person has to press a button.
    pub(crate) fn never_fills_in(&self) {
        // Pages without TLS know no passkeys.
        let off = "if (window.PublicKeyCredential) \
            PublicKeyCredential.isConditionalMediationAvailable = undefined";
        let script = json!({ "source": off });
        self.cdp("Page.addScriptToEvaluateOnNewDocument", &script);
    }

    #[track_caller]
    fn plug_in(&self, what: &Value) -> SecurityKey {
        let id = self.post("/webauthn/authenticator", what);
        SecurityKey(id.as_str().unwrap().to_owned())
    }

    /// Takes it away.
    #[track_caller]
    pub(crate) fn unplug(&self, SecurityKey(id): SecurityKey) {
        let path = format!("/webauthn/authenticator/{id}");
        self.driver.delete(&path).unwrap();
    }

    /// All that it keeps.
    #[track_caller]
    pub(crate) fn credentials(&self, SecurityKey(id): &SecurityKey) -> Vec<Value> {
        let all = self.get(&format!("/webauthn/authenticator/{id}/credentials"));
        all.as_array().unwrap().clone()
    }

    /// Has it keep this besides.
    #[track_caller]
    pub(crate) fn put_back(&self, SecurityKey(id): &SecurityKey, credential: &Value) {
        let path = format!("/webauthn/authenticator/{id}/credential");
        self.post(&path, credential);
    }

    /// Says whether it knows its owner from now on.
    #[track_caller]
    pub(crate) fn verifies(&self, SecurityKey(id): &SecurityKey, is_owner: bool) {
        let path = format!("/webauthn/authenticator/{id}/uv");
        self.post(&path, &json!({ "isUserVerified": is_owner }));
    }
}
