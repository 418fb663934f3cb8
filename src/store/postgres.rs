//! The same store on PostgreSQL, for more than one machine: accounts, sessions and links as rows, of
//! which a change locks no more than it is about.
//!
//! The client library is asynchronous and everything else here waits, so each connection brings a
//! runtime of its own that runs only while somebody waits for that connection: there is no thread
//! besides, and no call without a limit.

mod challenges;
mod client;
mod connection;
mod copy;
pub(super) mod counts;
mod database;
mod event_rows;
mod failure;
mod hosts;
mod keeper;
mod key;
mod links;
mod mail_rows;
mod marks;
mod open;
mod pending;
mod pool;
mod reach;
mod recent;
mod refusal;
mod rows;
mod schema;
mod seal;
mod sessions;
mod shared;
mod slice;
mod standing;
#[cfg(test)]
#[cfg(feature = "databases")]
pub(crate) mod tests;
mod tls;
mod url;
mod watched;
mod write;

pub use copy::{EventLines, KeptMail, Patience, Side};
pub use database::Database;
pub(crate) use event_rows::EventRow;
pub use event_rows::EventRows;
pub use key::make_key;
pub use mail_rows::MailRows;
pub(crate) use mail_rows::{HOLD, TakenMail};
pub use open::Opened;
pub use refusal::Refusal;
pub use schema::{Migrated, migrate};
pub(crate) use shared::Shared;
pub use url::Url;

/// What there is to say of a server that asks for passwords as MD5.
pub const BY_MD5: &str = "the database takes the password as an MD5, which is easily guessed from: \
                          set password_encryption = 'scram-sha-256' there, and the password anew";
