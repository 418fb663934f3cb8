//! Wherever `rd` may lead, a browser on our page comes to https and an allowed host, and what was
//! allowed once is allowed again and leads to the same place.
#![no_main]

use auth_user::redirect::{MAX_LENGTH, Targets};
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|rd: &str| {
    let page = Url::parse("https://auth.example.com/login").expect("a URL");
    let targets = Targets::new(page.clone(), Some("example.com".to_owned()));
    let Some(target) = targets.allow(rd) else {
        return;
    };

    assert!(target.len() <= MAX_LENGTH);
    assert!(
        target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    );
    let reached = page.join(&target).expect("what was allowed is a URL");
    assert_eq!(reached.scheme(), "https");
    assert!(reached.username().is_empty() && reached.password().is_none());
    assert!(target.starts_with('/') || target.starts_with("https://"));
    assert!(!target.starts_with("//") && reached.path() != "/logout");
    let host = reached.host_str().expect("a host");
    assert!(host == "example.com" || host.ends_with(".example.com"));
    assert_eq!(targets.allow(&target), Some(target));
});
