//! Attempts from one network, at whatever account.

use super::*;

#[test]
fn a_network_and_a_48_wait_after_twenty_and_two_hundred_failures() {
    let throttle = Throttle::new(0);
    let guess = |n: u32, from| fail(&throttle, account(&n.to_string()), from, 100);
    for n in 0..20 {
        assert_eq!(guess(n, HOME), Ok(()));
    }
    assert_eq!(guess(20, HOME), Err(1));
    assert_eq!(guess(20, address(7)), Ok(()));

    for n in 0..200 {
        let network = u16::try_from(n / 20).unwrap();
        assert_eq!(guess(100 + n, v6(1, network)), Ok(()));
    }
    assert_eq!(guess(400, v6(1, 77)), Err(1), "a new /64 of the same /48");
    assert_eq!(guess(400, v6(2, 77)), Ok(()));
    // A quarter of an hour later they no longer count.
    assert_eq!(fail(&throttle, account("x"), HOME, 100 + 900), Ok(()));
}

#[test]
fn who_has_failed_stands_behind_who_has_not_and_a_new_64_behind_its_48() {
    let throttle = Throttle::new(0);
    let failures = |from| match throttle.standing(from) {
        Standing::Stranger { failures } => failures,
        Standing::Known => panic!("nobody is known"),
    };
    for n in 0..20 {
        let from = v6(1, u16::try_from(n).unwrap());
        assert_eq!(fail(&throttle, account(&n.to_string()), from, 100), Ok(()));
    }
    assert_eq!(fail(&throttle, account("x"), HOME, 100), Ok(()));

    assert_eq!(failures(HOME), 1);
    assert_eq!(failures(v6(1, 77)), 2, "a new /64 of a /48 that failed");
    assert_eq!(failures(v6(2, 77)), 0);
    assert_eq!(failures(address(7)), 0);
}

#[test]
fn each_member_of_a_network_buys_it_one_more_failure_for_an_hour() {
    let throttle = Throttle::new(0);
    for home in [HOME, v6(1, 1)] {
        for n in 0..250 {
            throttle.note_member(Digest::of(&n.to_string()), home, secs(1000));
            // Twice is once.
            throttle.note_member(Digest::of(&n.to_string()), home, secs(1000));
        }
        let guess = |n: u32, now| fail(&throttle, account(&n.to_string()), home, now);
        for n in 0..270 {
            assert_eq!(guess(n, 1000), Ok(()));
        }
        assert_eq!(guess(270, 1000), Err(1));
        // An hour later it is a network like any other.
        for n in 0..20 {
            assert_eq!(guess(n, 1000 + 3600), Ok(()));
        }
        assert!(guess(20, 1000 + 3600).is_err());
        throttle.clear(account("0"));
    }
}

#[test]
fn a_club_of_which_a_tenth_mistypes_does_not_wait() {
    let throttle = Throttle::new(0);
    for n in 0..250 {
        let name = n.to_string();
        let now = 1000 + n / 4;
        if n % 10 == 0 {
            assert_eq!(fail(&throttle, account(&name), HOME, now), Ok(()));
        }
        let right = throttle.begin(account(&name), HOME, secs(now));
        right.ok().unwrap().forgive();
        throttle.clear(account(&name));
        throttle.note_member(Digest::of(&name), HOME, secs(now));
    }
}

#[test]
fn codes_and_passwords_are_failures_of_one_network() {
    let throttle = Throttle::new(0);
    for n in 0..10 {
        drop(code(&throttle, CodeFrom::Stranger, 7).ok().unwrap());
        assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 7), Ok(()));
    }
    let early = TooEarly::Wait(secs(1));
    assert_eq!(code(&throttle, CodeFrom::Stranger, 7).err(), Some(early));
    assert_eq!(fail(&throttle, account("a"), HOME, 7), Err(1));
    assert!(code(&throttle, CodeFrom::KnownBrowser, 7).is_ok());
}

#[test]
fn who_types_a_recovery_code_or_has_a_mailed_password_does_not_wait_for_the_network() {
    let throttle = Throttle::new(0);
    for n in 0..20 {
        let _ = fail(&throttle, account(&n.to_string()), HOME, 7);
    }
    for _ in 0..50 {
        drop(code(&throttle, CodeFrom::Excused, 7).ok().unwrap());
    }
    // Nor does what was let through make the wait longer for the others.
    assert_eq!(fail(&throttle, account("a"), HOME, 7), Err(1));
    // The account's own wait holds.
    let begun = throttle.begin_code(CodeFrom::Excused, HOME, Some(secs(5)), secs(7));
    assert_eq!(begun.err(), Some(TooEarly::Wait(secs(5))));
}

#[test]
fn registrations_and_recoveries_are_limited_by_network_and_ten_times_so_by_48() {
    let throttle = Throttle::new(2);
    let (registration, recovery) = (
        |from, now| throttle.registration(from, secs(now)),
        |from, now| throttle.recovery(from, secs(now)),
    );
    for (take, limit) in [
        (
            &registration as &dyn Fn(IpAddr, u64) -> Result<(), Duration>,
            2,
        ),
        (&recovery, 20),
    ] {
        for _ in 0..limit {
            assert_eq!(take(HOME, 100), Ok(()));
        }
        assert_eq!(take(HOME, 110), Err(secs(3590)));
        assert_eq!(take(HOME, 3699), Err(secs(1)));
        assert_eq!(take(HOME, 3700), Ok(()));
        assert_eq!(take(address(1), 100), Ok(()));
        for n in 0..limit * 10 {
            assert_eq!(take(v6(1, n / limit), 100), Ok(()));
        }
        assert_eq!(take(v6(1, 77), 110), Err(secs(3590)));
        assert_eq!(take(v6(2, 77), 110), Ok(()));
        assert_eq!(take(v6(1, 77), 3700), Ok(()));
    }
}

#[test]
fn a_registration_that_is_forgiven_is_none_and_zero_is_no_limit() {
    let throttle = Throttle::new(1);
    for n in 0..100 {
        for from in [HOME, v6(1, 1)] {
            assert_eq!(throttle.registration(from, secs(n)), Ok(()));
            throttle.forgive_registration(from, secs(n));
        }
    }
    let throttle = Throttle::new(0);
    for _ in 0..1000 {
        assert_eq!(throttle.registration(HOME, secs(1)), Ok(()));
    }
}
