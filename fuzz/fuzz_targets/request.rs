//! What the front takes for a request is one: in bounds, and the same in however many pieces.
#![no_main]

use auth_user::front::request::{Reader, Step, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    if let Ok(Some((request, taken))) = &whole {
        assert!(*taken <= bytes.len());
        assert!(request.body.len() <= 64 * 1024);
    }
    let mut reader = Reader::default();
    for byte in bytes {
        reader.push(&[*byte]);
        match reader.step() {
            Ok(Step::Complete(request)) => {
                let (expected, _) = whole
                    .expect("the pieces")
                    .expect("the pieces are a request");
                assert!(request.body == expected.body);
                return;
            }
            Ok(_) => {}
            Err(refusal) => {
                // Read at once, more of it may be seen to be wrong.
                assert!(whole.is_err(), "{refusal:?} in pieces only");
                return;
            }
        }
    }
    assert!(!matches!(whole, Ok(Some(_))));
});
