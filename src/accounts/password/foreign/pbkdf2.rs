//! PBKDF2 (RFC 8018, section 5.2) as Authelia, passlib and Django write it.

use ::pbkdf2::pbkdf2_hmac;
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use pbkdf2_lanes::Computation;
use sha1::Sha1;
use sha2::Sha512;
use zeroize::Zeroizing;

use super::super::MAX_ROUNDS;
use super::{Scheme, number};

pub(super) const BROKEN: &str =
    "password is a broken PBKDF2 hash: its rounds, salt and output are separated by $";

/// As passlib writes base64: with a dot for the plus, and nothing at the end.
const ADAPTED: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

#[derive(Clone, Copy)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
}

impl Function {
    /// Bytes of one block of output. Further ones cost all rounds again and prove nothing more.
    fn block(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// One hash of PBKDF2.
pub(super) struct Pbkdf2 {
    function: Function,
    rounds: u32,
    salt: Vec<u8>,
    /// Its first block.
    hash: Vec<u8>,
}

impl Pbkdf2 {
    fn new(
        function: Function,
        rounds: &str,
        salt: Vec<u8>,
        mut hash: Vec<u8>,
    ) -> Result<Self, &'static str> {
        let is_too_long = rounds.len() > 10 && rounds.bytes().all(|byte| byte.is_ascii_digit());
        let rounds = number(rounds).or(is_too_long.then_some(u32::MAX));
        let rounds = rounds.ok_or(BROKEN)?;
        if rounds > MAX_ROUNDS {
            return Err("password is a PBKDF2 hash of more than 10,000,000 rounds");
        }
        if !(1..=128).contains(&salt.len()) || !(16..=128).contains(&hash.len()) {
            return Err(BROKEN);
        }
        hash.truncate(function.block());
        Ok(Self {
            function,
            rounds,
            salt,
            hash,
        })
    }
}

/// `$pbkdf2-sha512$ROUNDS$SALT$HASH`; without a function it is SHA-1.
pub(super) fn of_authelia(
    kind: &str,
    rounds: &str,
    salt: &str,
    hash: &str,
) -> Result<Pbkdf2, &'static str> {
    let function = match kind {
        "pbkdf2-sha256" => Function::Sha256,
        "pbkdf2-sha512" => Function::Sha512,
        _ => Function::Sha1,
    };
    let decode = |text: &str| ADAPTED.decode(text.replace('.', "+")).map_err(|_| BROKEN);
    Pbkdf2::new(function, rounds, decode(salt)?, decode(hash)?)
}

/// `pbkdf2_sha256$ROUNDS$SALT$HASH`, the salt as text.
pub(super) fn of_django(rounds: &str, salt: &str, hash: &str) -> Result<Pbkdf2, &'static str> {
    let hash = STANDARD.decode(hash).map_err(|_| BROKEN)?;
    Pbkdf2::new(Function::Sha256, rounds, salt.into(), hash)
}

impl Scheme for Pbkdf2 {
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        let (salt, rounds) = (&self.salt, self.rounds);
        let mut output = Zeroizing::new(vec![0; self.hash.len()]);
        match self.function {
            Function::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut output),
            Function::Sha512 => pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut output),
            Function::Sha256 => {
                let computation = Computation {
                    password,
                    salt,
                    rounds,
                };
                let keys = pbkdf2_lanes::derive(&[computation], 0);
                let length = output.len();
                output.copy_from_slice(&keys[0][..length]);
            }
        }
        output
    }

    fn expected(&self) -> &[u8] {
        &self.hash
    }

    fn cost(&self, _: usize) -> u64 {
        let rounds = u64::from(self.rounds);
        match self.function {
            Function::Sha1 | Function::Sha256 => rounds,
            Function::Sha512 => rounds * 5,
        }
    }
}
