//! A users file is refused, or read whole: what a save would make of it reads as the same.
#![no_main]

use auth_user::store::rewrite_users;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(written) = rewrite_users(bytes) {
        let again = rewrite_users(&written).expect("what was written is read");
        assert!(again == written);
    }
});
