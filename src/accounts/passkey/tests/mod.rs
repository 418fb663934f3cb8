use super::*;
use crate::accounts::Account;
use crate::accounts::password::PasswordHash;
use crate::clock::Timestamp;

mod authenticator;
mod challenges;
mod keeping;
mod making;
mod mutations;
mod using;
mod vectors;

use authenticator::{Algorithm, Authenticator};

const NOW: Timestamp = Timestamp(1_800_000_000);

/// 32 bytes in base64url.
const CHALLENGE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn party() -> RelyingParty {
    party_at("https://auth.example.com:8443/").unwrap()
}

fn party_at(url: &str) -> Option<RelyingParty> {
    RelyingParty::new(&Url::parse(url).unwrap(), "Example")
}

fn device(algorithm: Algorithm) -> Authenticator {
    Authenticator::new(
        algorithm,
        "auth.example.com",
        "https://auth.example.com:8443",
    )
}

/// Whether it is [`CHALLENGE`].
fn is_asked(said: &[u8]) -> Result<(), Refused> {
    ensure(base64url::encode(said) == CHALLENGE, Refused::Challenge)
}

fn account(name: &str) -> Account {
    let hash = PasswordHash::quick();
    Account::new(name, &format!("{name}@example.com"), hash, NOW)
}

fn made_by(device: &Authenticator) -> Result<Made<()>, Refused> {
    let (client, attestation) = device.make(CHALLENGE);
    let answer = Making {
        client: &client,
        attestation: &attestation,
    };
    party().make(answer, is_asked)
}

fn passkey_of(device: &Authenticator) -> Passkey {
    let made = made_by(device).ok().unwrap();
    Passkey::new(&made, &party(), "Key", vec!["usb".to_owned()], NOW)
}

/// An account that has a passkey of this device.
fn owner(name: &str, device: &Authenticator) -> Account {
    let mut account = account(name);
    account.give_handle();
    account.passkeys.push(passkey_of(device));
    account
}

/// The user handle, as an authenticator keeps it.
fn handle(account: &Account) -> Vec<u8> {
    let text = serde_json::to_value(&account.handle).unwrap();
    base64url::decode(text.as_str().unwrap(), MAX_USER).unwrap()
}

#[test]
fn a_site_is_named_by_its_host_and_an_address_is_no_site() {
    for (url, id, origin) in [
        (
            "https://auth.example.com/",
            "auth.example.com",
            "https://auth.example.com",
        ),
        (
            "https://Auth.Example.com:443/",
            "auth.example.com",
            "https://auth.example.com",
        ),
        (
            "https://auth.example.com:8443/",
            "auth.example.com",
            "https://auth.example.com:8443",
        ),
        (
            "https://bücher.example/",
            "xn--bcher-kva.example",
            "https://xn--bcher-kva.example",
        ),
        (
            "https://localhost:8443/",
            "localhost",
            "https://localhost:8443",
        ),
    ] {
        let party = party_at(url).unwrap();
        assert_eq!((party.id(), party.origin.as_str()), (id, origin), "{url}");
    }
    for url in ["https://127.0.0.1/", "https://[::1]:8443/", "https://1.1/"] {
        assert!(party_at(url).is_none(), "{url}");
    }
}
