//! Of the answers of passkeys whose private keys are not here, only those hold that the standard
//! gives as its test vectors.
#![no_main]

use std::sync::OnceLock;

use auth_user::accounts::Account;
use auth_user::accounts::passkey::{Answer, Making, Passkey, Refused, RelyingParty, Step};
use auth_user::clock::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use url::Url;

/// A test vector: the id of its passkey, client data, authenticator data, signature.
type Vector = [Vec<u8>; 4];

fuzz_target!(|bytes: &[u8]| {
    static KNOWN: OnceLock<(Account, Vec<Vector>)> = OnceLock::new();
    let (account, vectors) = KNOWN.get_or_init(known);
    let Some((vector, [client, data, signature])) = parts(bytes) else {
        return;
    };
    let vector = &vectors[usize::from(vector) % vectors.len()];
    let answer = Answer {
        id: &vector[0],
        client,
        data,
        signature,
        user: None,
    };
    let judged = site().check(Some(account), Step::AfterPassword, answer, any);
    if judged.is_ok() {
        assert!(client == vector[1] && data == vector[2] && signature == vector[3]);
    }
});

/// Which vector in one byte, client data, a line break, one byte of length, authenticator data, and
/// the signature.
fn parts(bytes: &[u8]) -> Option<(u8, [&[u8]; 3])> {
    let (vector, rest) = bytes.split_first()?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (length, rest_of_all) = rest[end + 1..].split_first()?;
    let (data, signature) = rest_of_all.split_at_checked(usize::from(*length))?;
    Some((*vector, [&rest[..end], data, signature]))
}

fn site() -> RelyingParty {
    let url = Url::parse("https://example.org").expect("a URL");
    RelyingParty::new(&url, "Example").expect("a host")
}

fn any(_challenge: &[u8]) -> Result<(), Refused> {
    Ok(())
}

/// An account with the passkeys of all vectors that are taken, and those vectors.
fn known() -> (Account, Vec<Vector>) {
    let text = include_str!("../../tests/data/webauthn-vectors.json");
    let all: Vec<Value> = serde_json::from_str(text).expect("vectors");
    let mut account = Account::without_password("alice", None, Timestamp(0));
    let mut taken = Vec::new();
    for vector in &all {
        let part = |name: &str| hex(vector[name].as_str().expect("bytes"));
        let answer = Making {
            client: &part("reg_client"),
            attestation: &part("att"),
        };
        if let Ok(made) = site().make(answer, any) {
            let passkey = Passkey::new(&made, &site(), "Key", Vec::new(), Timestamp(0));
            account.passkeys.push(passkey);
            taken.push(["cred", "auth_client", "auth_data", "sig"].map(part));
        }
    }
    (account, taken)
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}
