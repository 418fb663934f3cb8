use totp_lite::{Sha1, totp_custom};

use super::*;
use crate::accounts::devices::Device;
use crate::accounts::password::{Work, derive};

const START: u64 = 1_800_000_000;

fn at(seconds: u64) -> Moment {
    Moment {
        wall: seconds,
        steady: Duration::from_secs(seconds),
    }
}

fn alice() -> Account {
    let hash = PasswordHash::new(&Password::new("long enough"));
    Account::new("alice", "alice@example.com", hash, Timestamp(START))
}

fn enrolled() -> (Account, Secret) {
    let (mut account, secret) = (alice(), Secret::new());
    let code = code(&secret, START);
    account
        .confirm_secret(&secret, &code, None, at(START))
        .unwrap();
    (account, secret)
}

fn code(secret: &Secret, time: u64) -> String {
    let key = data_encoding::BASE32_NOPAD
        .decode(secret.base32().as_bytes())
        .unwrap();
    totp_custom::<Sha1>(30, 6, &key, time)
}

fn try_password(found: Option<&Account>, typed: &str) -> Option<Authenticated> {
    let hash = found.and_then(|account| account.password.as_ref());
    let keys = derive(&[Work::checking(hash, &Password::new(typed))]);
    authenticate(found, &keys[0])
}

#[test]
fn only_the_right_password_authenticates() {
    let account = alice();
    assert!(try_password(Some(&account), "long enough").is_some());
    assert!(try_password(Some(&account), "long enough ").is_none());
    assert!(try_password(None, "long enough").is_none());
}

#[test]
fn a_disabled_account_does_not_log_in() {
    let account = Account {
        disabled: true,
        ..alice()
    };
    assert!(try_password(Some(&account), "long enough").is_none());
}

#[test]
fn a_good_login_shows_that_a_hash_is_weak() {
    let weak = "$pbkdf2-sha256$i=1,l=32$c2FsdA$Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs";
    let hash = PasswordHash::parse(weak).ok().unwrap();
    let account = Account {
        password: Some(hash),
        ..alice()
    };
    assert!(try_password(Some(&account), "password").unwrap().is_weak);
    assert!(!try_password(Some(&alice()), "long enough").unwrap().is_weak);
}

#[test]
fn another_password_forgets_all_browsers_but_the_one_that_chose_it() {
    let mut account = alice();
    let browsers = ["own", "other"].map(Digest::of);
    let new = alice().password.unwrap();
    for id in browsers {
        account.remember_device(Device::new(id, "", Timestamp(START)), Timestamp(START));
    }
    let kept = new.id();
    account.change_password(new, Some(browsers[0]));
    assert!(account.password_id() == kept);
    assert_eq!(
        browsers.map(|id| account.knows_device(id, Timestamp(START))),
        [true, false]
    );
}

#[test]
fn another_second_factor_forgets_all_browsers() {
    let (mut account, _) = enrolled();
    let (own, now) = (Digest::of("own"), Timestamp(START));
    account.remember_device(Device::new(own, "", now), now);
    let secret = Secret::new();
    let wrong = account.move_to_secret(&secret, "000000", Some(own), at(START + 60));
    assert!(wrong.is_err() && account.knows_device(own, now));
    let code = code(&secret, START + 60);
    let moved = account.move_to_secret(&secret, &code, Some(own), at(START + 60));
    assert!(moved.is_ok() && account.devices.is_empty());
}

#[test]
fn a_code_works_once() {
    let (mut account, secret) = enrolled();
    let next = code(&secret, START + 30);
    let taken = account.accept_code(&next, None, at(START + 30));
    assert_eq!(taken, Ok(Accepted::Code));
    let again = account.accept_code(&next, None, at(START + 31));
    assert_eq!(again, Err(CodeRefused::Wrong));
}

#[test]
fn the_code_that_enrolled_does_not_log_in() {
    let (mut account, secret) = enrolled();
    let used = account.accept_code(&code(&secret, START), None, at(START));
    assert_eq!(used, Err(CodeRefused::Wrong));
}

#[test]
fn wrong_codes_add_up_until_the_right_one_has_to_wait_too() {
    let (mut account, secret) = enrolled();
    for _ in 0..5 {
        let wrong = account.accept_code("000000", None, at(START + 300));
        assert_eq!(wrong, Err(CodeRefused::Wrong));
    }
    let right = code(&secret, START + 300);
    let early = account.accept_code(&right, None, at(START + 300));
    assert_eq!(early, Err(CodeRefused::TooEarly(Duration::from_secs(1))));
    let taken = account.accept_code(&right, None, at(START + 301));
    assert_eq!(taken, Ok(Accepted::Code));
}

#[test]
fn a_strangers_wrong_codes_do_not_make_a_known_browser_wait() {
    let (mut account, secret) = enrolled();
    let browser = Digest::of("browser");
    account.remember_device(Device::new(browser, "", Timestamp(START)), Timestamp(START));
    for second in 0..50 {
        let _ = account.accept_code("000000", None, at(START + second));
    }
    let right = code(&secret, START + 60);
    assert_eq!(
        account.accept_code(&right, Some(browser), at(START + 60)),
        Ok(Accepted::Code)
    );
}

#[test]
fn a_key_confirmed_twice_takes_no_code_twice() {
    let (mut account, secret) = enrolled();
    let next = code(&secret, START + 30);
    let taken = account.accept_code(&next, None, at(START + 30));
    assert_eq!(taken, Ok(Accepted::Code));
    let again = account.confirm_secret(&secret, &code(&secret, START), None, at(START + 30));
    assert_eq!(again, Err(CodeRefused::Wrong));
    let again = account.accept_code(&next, None, at(START + 30));
    assert_eq!(again, Err(CodeRefused::Wrong));
}

#[test]
fn a_recovery_code_works_once_and_the_others_stay() {
    let (mut account, _) = enrolled();
    let codes = account.new_recovery_codes();
    assert_eq!(
        account.accept_code(&codes[3].to_uppercase(), None, at(START)),
        Ok(Accepted::RecoveryCode { left: 9 })
    );
    assert_eq!(account.recovery_codes.len(), 9);
    let again = account.accept_code(&codes[3], None, at(START));
    assert_eq!(again, Err(CodeRefused::Wrong));
    assert_eq!(
        account.accept_code(&codes[4], None, at(START)),
        Ok(Accepted::RecoveryCode { left: 8 })
    );
}
