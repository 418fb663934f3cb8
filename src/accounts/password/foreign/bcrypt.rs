//! bcrypt (Provos and Mazières, 1999), and Django's bcrypt of the SHA-256 of a password.

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use blowfish::Blowfish;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Scheme;

pub(super) const BROKEN: &str =
    "password is a broken bcrypt hash: after the cost it has 53 letters and digits, . and /";

/// The dearest that is taken: a second or two.
const MAX_COST: u32 = 14;

/// As much of a password as bcrypt looks at, in bytes, with the zero at its end.
const LOOKED_AT: usize = 72;

/// Bytes of the output that are written down; one is not.
const OUTPUT: usize = 23;

/// What is encrypted, "OrpheanBeholderScryDoubt".
const TEXT: [[u32; 2]; 3] = [
    [0x4f72_7068, 0x6561_6e42],
    [0x6568_6f6c, 0x6465_7253],
    [0x6372_7944, 0x6f75_6274],
];

/// Salt and hash are no whole number of characters, and not every program leaves the bits that are
/// over at zero.
const ENCODING: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// One hash of bcrypt.
pub(super) struct Bcrypt {
    cost: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
    /// Whether it is of the password's SHA-256, in hexadecimal digits.
    of_sha256: bool,
}

/// `cost` is `10`, `hash` 22 characters of salt and 31 of output.
pub(super) fn parse(cost: &str, hash: &str, of_sha256: bool) -> Result<Bcrypt, &'static str> {
    let decode = |text: Option<&str>| text.and_then(|text| ENCODING.decode(text).ok());
    let is_two_digits = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost = cost.parse().ok().filter(|_| is_two_digits).ok_or(BROKEN)?;
    if cost > MAX_COST {
        return Err("password is a bcrypt hash of a cost above 14");
    }
    let (salt, hash) = (decode(hash.get(..22)), decode(hash.get(22..)));
    let (Some(salt), Some(hash)) = (salt, hash.filter(|hash| hash.len() == OUTPUT)) else {
        return Err(BROKEN);
    };
    if cost < 4 {
        return Err(BROKEN);
    }
    Ok(Bcrypt {
        cost,
        salt,
        hash,
        of_sha256,
    })
}

impl Scheme for Bcrypt {
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(Vec::with_capacity(password.len().max(LOOKED_AT) + 1));
        match self.of_sha256 {
            true => key.extend_from_slice(hexadecimal(password).as_bytes()),
            false => key.extend_from_slice(password),
        }
        key.push(0);
        key.truncate(LOOKED_AT);

        let mut state: Blowfish = Blowfish::bc_init_state();
        state.salted_expand_key(&self.salt, &key);
        for _ in 0..1_u32 << self.cost {
            state.bc_expand_key(&key);
            state.bc_expand_key(&self.salt);
        }
        let mut output = Zeroizing::new(Vec::with_capacity(24));
        for mut pair in TEXT {
            for _ in 0..64 {
                pair = state.bc_encrypt(pair);
            }
            output.extend(pair.iter().flat_map(|half| half.to_be_bytes()));
        }
        output.truncate(OUTPUT);
        output
    }

    fn expected(&self) -> &[u8] {
        &self.hash
    }

    fn cost(&self, _: usize) -> u64 {
        (1 << self.cost) * ROUNDS_OF_OURS
    }
}

/// About how many rounds of ours take as long as one of bcrypt's.
const ROUNDS_OF_OURS: u64 = 600;

fn hexadecimal(password: &[u8]) -> Zeroizing<String> {
    let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(password)));
    Zeroizing::new(data_encoding::HEXLOWER.encode(&*digest))
}
