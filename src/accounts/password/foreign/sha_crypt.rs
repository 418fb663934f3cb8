//! SHA-crypt (Drepper, 2007) of SHA-256 and SHA-512, as in /etc/shadow.

use ::sha_crypt::{ROUNDS_DEFAULT, Sha256Params, Sha512Params, sha256_crypt_b64, sha512_crypt_b64};
use zeroize::Zeroizing;

use super::{Scheme, is_of_crypt, number};

const BROKEN: &str = "password is a broken SHA-crypt hash";

/// Most rounds that are taken: about a second.
const MAX_ROUNDS: usize = 1_000_000;

/// Longest password, in bytes. crypt(3) refuses longer ones, and each round costs as much as the
/// password is long.
const MAX_PASSWORD: usize = 512;

/// One hash of SHA-crypt.
pub(super) struct ShaCrypt {
    function: Function,
    salt: String,
    rounds: usize,
    /// As it is written: an encoding of its own, which has only one text for each output.
    hash: String,
}

enum Function {
    Sha256(Sha256Params),
    Sha512(Sha512Params),
}

/// `kind` is 5 or 6, `rest` what follows it: rounds or none, salt and hash.
pub(super) fn parse(kind: &str, rest: &[&str]) -> Result<ShaCrypt, &'static str> {
    let (rounds, salt, hash) = match *rest {
        [salt, hash] => (ROUNDS_DEFAULT, salt, hash),
        [rounds, salt, hash] => (read_rounds(rounds)?, salt, hash),
        _ => return Err(BROKEN),
    };
    let too_few = |_| "password is a SHA-crypt hash of fewer than 1,000 rounds";
    let (function, length) = match kind {
        "5" => {
            let params = Sha256Params::new(rounds).map_err(too_few)?;
            (Function::Sha256(params), 43)
        }
        _ => {
            let params = Sha512Params::new(rounds).map_err(too_few)?;
            (Function::Sha512(params), 86)
        }
    };
    if salt.len() > 16 || hash.len() != length || !hash.bytes().all(is_of_crypt) {
        return Err(BROKEN);
    }
    Ok(ShaCrypt {
        function,
        salt: salt.to_owned(),
        rounds,
        hash: hash.to_owned(),
    })
}

fn read_rounds(text: &str) -> Result<usize, &'static str> {
    let digits = text.strip_prefix("rounds=").ok_or(BROKEN)?;
    let is_too_long = digits.len() > 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let rounds = number(digits).and_then(|rounds| usize::try_from(rounds).ok());
    let rounds = rounds.or(is_too_long.then_some(usize::MAX)).ok_or(BROKEN)?;
    if rounds > MAX_ROUNDS {
        return Err("password is a SHA-crypt hash of more than 1,000,000 rounds");
    }
    Ok(rounds)
}

impl Scheme for ShaCrypt {
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        if password.len() > MAX_PASSWORD {
            return Zeroizing::default();
        }
        let salt = self.salt.as_bytes();
        let output = match &self.function {
            Function::Sha256(params) => sha256_crypt_b64(password, salt, params),
            Function::Sha512(params) => sha512_crypt_b64(password, salt, params),
        };
        // The rounds, which alone it could refuse, were judged when the hash was read.
        Zeroizing::new(output.unwrap_or_default().into_bytes())
    }

    fn expected(&self) -> &[u8] {
        self.hash.as_bytes()
    }

    fn cost(&self, length: usize) -> u64 {
        if length > MAX_PASSWORD {
            return 0;
        }
        let rounds = u64::try_from(self.rounds).unwrap_or(u64::MAX);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        // A round digests an output, and mostly the password and the salt.
        match self.function {
            Function::Sha256(_) => rounds * (1 + length / 64),
            Function::Sha512(_) => rounds * 3 * (1 + length / 96),
        }
    }
}
