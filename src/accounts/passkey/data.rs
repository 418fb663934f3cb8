//! What the authenticator says (Level 3, 6.1): a fixed head, and perhaps a new credential and
//! outputs of extensions.

use super::Refused;
use super::cbor::{Item, Reader};

const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// Authenticator data, taken apart.
pub(super) struct Data<'a> {
    pub(super) rp_id_hash: &'a [u8; 32],
    flags: u8,
    /// The signature counter.
    pub(super) count: u32,
    /// The new credential: its id, and its key in COSE.
    pub(super) credential: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Data<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refused> {
        Self::parse(bytes).ok_or(Refused::Unreadable)
    }

    /// `None` also if anything follows that the flags do not tell of.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, rest) = bytes.split_first_chunk()?;
        let (&[flags], rest) = rest.split_first_chunk()?;
        let (count, mut rest) = rest.split_first_chunk()?;
        let mut credential = None;
        if flags & ATTESTED != 0 {
            let (_aaguid, after) = rest.split_first_chunk::<16>()?;
            let (length, after) = after.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (id, after) = after.split_at_checked(length)?;
            let key = Reader::new(after).skip()?;
            credential = Some((id, key));
            rest = after.get(key.len()..)?;
        }
        if flags & EXTENSIONS != 0 {
            Reader::new(rest).map()?;
            let outputs = Reader::new(rest).skip()?;
            rest = rest.get(outputs.len()..)?;
        }
        rest.is_empty().then_some(Self {
            rp_id_hash,
            flags,
            count: u32::from_be_bytes(*count),
            credential,
        })
    }

    /// UP: somebody touched the authenticator.
    pub(super) fn is_present(&self) -> bool {
        self.flags & PRESENT != 0
    }

    /// UV: the authenticator checked who that is.
    pub(super) fn is_verified(&self) -> bool {
        self.flags & VERIFIED != 0
    }

    /// BE: the key may leave the authenticator.
    pub(super) fn is_synced(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    /// BS: it has left it.
    pub(super) fn is_backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}

/// The authenticator data in an attestation object (Level 3, 6.5.4), whatever the format of its
/// statement, which is passed over.
pub(super) fn attested(object: &[u8]) -> Result<&[u8], Refused> {
    let parse = || {
        let mut reader = Reader::new(object);
        let (mut format, mut statement, mut data) = (false, false, None);
        for _ in 0..reader.map()? {
            let twice = match reader.item()? {
                Item::Text(b"fmt") => {
                    let Item::Text(_) = reader.item()? else {
                        return None;
                    };
                    std::mem::replace(&mut format, true)
                }
                Item::Text(b"attStmt") => {
                    Reader::new(reader.skip()?).map()?;
                    std::mem::replace(&mut statement, true)
                }
                Item::Text(b"authData") => {
                    let Item::Bytes(bytes) = reader.item()? else {
                        return None;
                    };
                    data.replace(bytes).is_some()
                }
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        data.filter(|_| format && statement && reader.is_at_end())
    };
    parse().ok_or(Refused::Unreadable)
}
