//! A new passkey is refused, or all of it that is kept was sent for this site: nothing follows it,
//! nothing is missing, and its key is read again as the same.
#![no_main]

use auth_user::accounts::passkey::{Making, PublicKey, Refused, RelyingParty, base64url};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|bytes: &[u8]| {
    // Client data, a line break, which JSON need not have, and the attestation object.
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (client, attestation) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
    let url = Url::parse("https://example.org").expect("a URL");
    let site = RelyingParty::new(&url, "Example").expect("a host");
    let make = |attestation: &[u8]| {
        let answer = Making {
            client,
            attestation,
        };
        site.make(answer, |said| Ok::<_, Refused>(said.to_vec()))
    };
    let Ok(made) = make(attestation) else {
        return;
    };

    let said = String::from_utf8_lossy(client);
    assert!(said.contains("webauthn.create") || said.contains('\\'));
    let challenge = base64url::encode(&made.challenge);
    assert!(said.contains(&challenge) || said.contains('\\'));
    let key = made.key.cose();
    assert!(PublicKey::read(key).is_ok_and(|read| read == made.key));
    let id = base64url::decode(&made.id.text(), 1023).expect("an id");
    assert!(!id.is_empty());
    let credential = [&id[..], key].concat();
    let mut windows = attestation.windows(credential.len());
    assert!(windows.any(|window| window == credential));
    assert!(make(&[attestation, &[0]].concat()).is_err());
    assert!(make(&attestation[..attestation.len() - 1]).is_err());
});
