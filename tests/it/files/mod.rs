//! What is kept on the disk: by whom it is written, what it survives, and what happens if it cannot
//! be read or written.

mod certificate;
mod damaged_files;
mod earlier_version;
mod edited_accounts;
#[cfg(feature = "faults")]
pub(crate) mod failing_disk;
mod ignored_by_git;
mod kills_and_restarts;
mod later_version;
mod permissions;
mod unfit_data_folder;
mod unknown_fields;
mod users_file;

/// A password hash that no password has.
const HASH: &str = "$pbkdf2-sha256$i=600000,l=32$AAAAAAAAAAAAAAAAAAAAAA$\
                    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
