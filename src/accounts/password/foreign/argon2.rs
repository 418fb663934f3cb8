//! Argon2id and Argon2i (RFC 9106), in PHC strings.

use ::argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::{Scheme, number};

pub(super) const BROKEN: &str =
    "password is a broken Argon2 hash: it is $argon2id$v=19$m=…,t=…,p=…$salt$hash";

/// Most memory that is taken, in KiB.
const MAX_MEMORY: u32 = 128 << 10;

/// Most blocks of a KiB that are filled in all: about a second or two.
const MAX_BLOCKS: u64 = 1 << 20;

/// Most lanes. They cost nothing more, but one beyond it is a typing error.
const MAX_LANES: u32 = 16;

/// One hash of Argon2.
pub(super) struct Argon {
    algorithm: Algorithm,
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// `parts` are the version, the costs, the salt and the hash.
pub(super) fn parse(kind: &str, parts: [&str; 4]) -> Result<Argon, &'static str> {
    let [version, costs, salt, hash] = parts;
    let algorithm = match kind {
        "argon2i" => Algorithm::Argon2i,
        _ => Algorithm::Argon2id,
    };
    if version != "v=19" {
        return Err("password is an Argon2 hash of another version than 19");
    }
    let mut found = [None; 3];
    for cost in costs.split(',') {
        let (name, value) = cost.split_once('=').ok_or(BROKEN)?;
        let place = ["m", "t", "p"].iter().position(|known| *known == name);
        let place = place
            .filter(|place| found[*place].is_none())
            .ok_or(BROKEN)?;
        found[place] = Some(number(value).ok_or(BROKEN)?);
    }
    let [Some(memory), Some(passes), Some(lanes)] = found else {
        return Err(BROKEN);
    };
    if memory > MAX_MEMORY {
        return Err("password is an Argon2 hash with m above 131072 (128 MiB)");
    }
    if u64::from(memory) * u64::from(passes) > MAX_BLOCKS {
        return Err("password is an Argon2 hash with t times m above 1048576");
    }
    if lanes > MAX_LANES {
        return Err("password is an Argon2 hash with p above 16");
    }
    let decode = |text| STANDARD_NO_PAD.decode(text).map_err(|_| BROKEN);
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
        return Err(BROKEN);
    }
    let params = Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| BROKEN)?;
    Ok(Argon {
        algorithm,
        params,
        salt,
        hash,
    })
}

impl Scheme for Argon {
    fn compute(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        let argon2 = Argon2::new(self.algorithm, Version::V0x13, self.params.clone());
        let count = self.params.block_count();
        let mut blocks = Vec::new();
        if blocks.try_reserve_exact(count).is_err() {
            return Zeroizing::default();
        }
        blocks.resize(count, Block::default());
        let mut blocks = Zeroizing::new(blocks);
        let mut output = Zeroizing::new(vec![0; self.hash.len()]);
        let done = argon2.hash_password_into_with_memory(
            password,
            &self.salt,
            &mut output,
            blocks.as_mut_slice(),
        );
        // What it would refuse was refused when the hash was read.
        match done {
            Ok(()) => output,
            Err(_) => Zeroizing::default(),
        }
    }

    fn expected(&self) -> &[u8] {
        &self.hash
    }

    fn cost(&self, _: usize) -> u64 {
        u64::from(self.params.m_cost()) * u64::from(self.params.t_cost()) * ROUNDS_OF_OURS
    }

    fn memory(&self) -> usize {
        self.params.block_count() * Block::SIZE
    }
}

/// About how many rounds of ours take as long as filling one block.
const ROUNDS_OF_OURS: u64 = 9;
