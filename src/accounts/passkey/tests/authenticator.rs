//! An authenticator made of software, with a key that is made when it is: it answers as browsers
//! do, or as it is told to. It knows nothing of what it tests.

use aws_lc_rs::encoding::{AsBigEndian as _, EcPublicKeyUncompressedBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use sha2::{Digest as _, Sha256};

pub const PRESENT: u8 = 1;
pub const VERIFIED: u8 = 1 << 2;
pub const ELIGIBLE: u8 = 1 << 3;
pub const BACKED_UP: u8 = 1 << 4;
pub const ATTESTED: u8 = 1 << 6;
pub const EXTENSIONS: u8 = 1 << 7;

#[derive(Clone, Copy, Debug)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256];

enum Key {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
}

pub struct Authenticator {
    key: Key,
    pub id: Vec<u8>,
    pub rp_id: String,
    pub flags: u8,
    pub count: u32,
    /// What is written behind the key, or the counter.
    pub more: Vec<u8>,
    /// What the browser writes.
    pub origin: String,
    /// Further members of the client data.
    pub members: String,
}

impl Authenticator {
    /// One that checks who is there, and counts.
    pub fn new(algorithm: Algorithm, rp_id: &str, origin: &str) -> Self {
        let key = match algorithm {
            Algorithm::EdDsa => Key::EdDsa(Ed25519KeyPair::generate().unwrap()),
            Algorithm::Es256 => {
                Key::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
            }
            Algorithm::Rs256 => {
                Key::Rs256(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
            }
        };
        let mut id = vec![0; 32];
        aws_lc_rs::rand::fill(&mut id).unwrap();
        Self {
            key,
            id,
            rp_id: rp_id.to_owned(),
            flags: PRESENT | VERIFIED,
            count: 1,
            more: Vec::new(),
            origin: origin.to_owned(),
            members: r#","crossOrigin":false"#.to_owned(),
        }
    }

    /// The public key in COSE.
    pub fn cose(&self) -> Vec<u8> {
        match &self.key {
            Key::EdDsa(key) => {
                let x = key.public_key().as_ref();
                [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32], x].concat()
            }
            Key::Es256(key) => {
                let point: EcPublicKeyUncompressedBin<'_> = key.public_key().as_be_bytes().unwrap();
                let (x, y) = point.as_ref()[1..].split_at(32);
                let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
                [&head, x, &[0x22, 0x58, 32], y].concat()
            }
            Key::Rs256(key) => {
                // RFC 8017, A.1.1: two lengths, a zero before the modulus.
                let n = &key.public_key().as_ref()[9..265];
                let head = [0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0];
                [&head, n, &[0x21, 0x43, 1, 0, 1]].concat()
            }
        }
    }

    /// Client data as a browser writes it.
    pub fn client(&self, ceremony: &str, challenge: &str) -> Vec<u8> {
        let (origin, members) = (&self.origin, &self.members);
        let text = format!(
            r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}"{members}}}"#
        );
        text.into_bytes()
    }

    /// Authenticator data, with the credential where the flags say so.
    pub fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(flags);
        data.extend(self.count.to_be_bytes());
        if flags & ATTESTED != 0 {
            data.extend([0; 16]);
            data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
            data.extend(&self.id);
            data.extend(self.cose());
        }
        data.extend(&self.more);
        data
    }

    /// An attestation object around authenticator data.
    pub fn attestation(data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
        [head, &length[..], data].concat()
    }

    /// Client data and attestation object of a new passkey.
    pub fn make(&self, challenge: &str) -> (Vec<u8>, Vec<u8>) {
        let data = self.data(self.flags | ATTESTED);
        let client = self.client("webauthn.create", challenge);
        (client, Self::attestation(&data))
    }

    /// Client data, authenticator data and signature of a use.
    pub fn assert(&self, challenge: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let (client, data) = (
            self.client("webauthn.get", challenge),
            self.data(self.flags),
        );
        let signature = self.sign(&client, &data);
        (client, data, signature)
    }

    pub fn sign(&self, client: &[u8], data: &[u8]) -> Vec<u8> {
        let signed = [data, &Sha256::digest(client)].concat();
        let random = SystemRandom::new();
        match &self.key {
            Key::EdDsa(key) => key.sign(&signed).as_ref().to_vec(),
            Key::Es256(key) => key.sign(&random, &signed).unwrap().as_ref().to_vec(),
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, &signed, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}
