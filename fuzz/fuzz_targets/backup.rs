//! A made-up tar is refused, and one that is taken is read to its end: a byte less is refused.
#![no_main]

use auth_user::operator::backup::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if judge(bytes).is_ok() {
        // Some programs add zeros at the end, which tell nothing.
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        assert!(judge(&bytes[..end]).is_err());
    }
});
