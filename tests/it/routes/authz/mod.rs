//! What a reverse proxy asks of us, and what it is answered.

mod access_rules;
mod forward_auth;
mod many_visitors;
