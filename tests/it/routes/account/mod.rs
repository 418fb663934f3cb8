//! What somebody who is logged in does with the account.

mod races;
