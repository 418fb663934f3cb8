//! What comes over a connection, byte by byte, record by record, and how slowly.

mod client_address;
mod framing;
pub(crate) mod garbage_forms;
mod slow_clients;
mod strange_paths;
mod tls;
mod tls_records;
