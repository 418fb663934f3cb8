//! The file with the key that seals secrets.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::accounts::token;
use crate::durable::{Draft, Failure};
use crate::rights;
use crate::store::postgres::refusal::Refusal;
use crate::store::postgres::seal::{KEY, Seal};

impl Seal {
    /// The key in this file.
    ///
    /// # Errors
    ///
    /// If there is no such file, it is no key, or others can read it.
    pub(super) fn read(path: &Path) -> Result<Self, Refusal> {
        let key = read(path).map_err(|why| {
            Refusal::new(
                format!("cannot use the key {path:?}: {why}"),
                format!(
                    "make one with auth_user store key {}, or name the one that the store is \
                     sealed with; it must be its owner's alone, chmod 0600",
                    path.display()
                ),
            )
        })?;
        Ok(Self::new(&key))
    }
}

fn read(path: &Path) -> Result<Zeroizing<[u8; KEY]>, String> {
    let said = |error: io::Error| error.to_string();
    let file = OpenOptions::new()
        .read(true)
        // Opening a pipe would wait for somebody to write to it.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(said)?;
    let metadata = file.metadata().map_err(said)?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    if rights::are_open(&metadata) {
        return Err("the group or others have rights to it".to_owned());
    }
    // One byte more shows that it is too long.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY + 1));
    let most = u64::try_from(KEY).unwrap_or(u64::MAX) + 1;
    file.take(most).read_to_end(&mut bytes).map_err(said)?;
    let key = <[u8; KEY]>::try_from(bytes.as_slice());
    key.map(Zeroizing::new)
        .map_err(|_| format!("it does not have exactly {KEY} bytes"))
}

/// Makes a key file where there is nothing yet.
///
/// # Errors
///
/// If there is something, or no file can be made there.
pub fn make_key(path: &Path) -> Result<(), Refusal> {
    make(path).map_err(|why| {
        let hint = match why.kind() {
            io::ErrorKind::AlreadyExists => {
                "name another path: a key that is replaced is lost, and what it has sealed with it"
            }
            _ => "name a path in a folder that is there and can be written to",
        };
        Refusal::new(format!("cannot make the key {path:?}: {why}"), hint)
    })
}

fn make(path: &Path) -> io::Result<()> {
    if path.is_symlink() || path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::IsADirectory)?
        .to_owned();
    // A name that nothing has yet: whatever lies beside the key is not ours.
    name.push(format!(".{:016x}", u64::from_ne_bytes(token::random())));
    let draft = Draft::create(path.with_file_name(name), 0o600)?;
    let key: Zeroizing<[u8; KEY]> = Zeroizing::new(token::random());
    draft.file().write_all(key.as_slice())?;
    draft.sync()?;
    match draft.put_anew(path) {
        Ok(_) => Ok(()),
        Err(Failure::Before(error) | Failure::After(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");

        make_key(&path).ok().unwrap();

        let made = fs::read(&path).unwrap();
        assert_eq!(made.len(), 32);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(Seal::read(&path).is_ok());
        assert!(make_key(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), made);
        let other = place.path().join("other");
        make_key(&other).ok().unwrap();
        assert_ne!(fs::read(&other).unwrap(), made);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn whatever_is_there_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        symlink("nowhere", &path).unwrap();

        assert!(make_key(&path).is_err());
        assert!(make_key(place.path()).is_err());
        assert!(make_key(&place.path().join("missing/key")).is_err());

        assert!(path.is_symlink() && !place.path().join("nowhere").exists());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_32_bytes_that_nobody_else_can_read_are_a_key() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        let judge = |length: usize, mode: u32| {
            fs::write(&path, vec![7; length]).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Seal::read(&path).err().map(|refusal| refusal.to_string())
        };

        assert_eq!(judge(32, 0o600), None);
        assert_eq!(judge(32, 0o400), None);
        for (length, mode) in [
            (31, 0o600),
            (33, 0o600),
            (0, 0o600),
            (32, 0o640),
            (32, 0o604),
        ] {
            let refused = judge(length, mode);
            assert!(refused.is_some(), "{length} bytes, {mode:o}");
        }
        let missing = Seal::read(&place.path().join("missing")).err().unwrap();
        assert!(
            missing.hint().contains("auth_user store key "),
            "{}",
            missing.hint()
        );
        assert!(Seal::read(place.path()).is_err());
    }
}
