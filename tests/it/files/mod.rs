//! What is kept on the disk: by whom it is written, what it survives, and what happens if it cannot
//! be read or written.

mod certificate;
mod damaged_users_file;
mod edited_accounts;
#[cfg(feature = "faults")]
pub(crate) mod failing_disk;
mod ignored_by_git;
mod kills_and_restarts;
mod permissions;
mod unfit_data_folder;
mod unknown_fields;
mod users_file;
