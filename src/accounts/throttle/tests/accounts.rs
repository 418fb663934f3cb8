//! Attempts at one account, from wherever, and those of its known browsers.

use super::*;

#[test]
fn the_sixth_failure_in_a_row_from_a_network_waits_and_each_one_twice_as_long() {
    let throttle = Throttle::new(0);
    let seen = waits(&throttle, account("a"), HOME, 17);
    assert_eq!(seen[..5], [0; 5]);
    assert_eq!(seen[5..], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    // From elsewhere, the owner notices nothing.
    assert_eq!(fail(&throttle, account("a"), address(9), 1000), Ok(()));
}

#[test]
fn nobody_from_five_networks_makes_an_owner_elsewhere_wait() {
    let throttle = Throttle::new(0);
    let networks = [address(1), address(2), v6(1, 1), v6(2, 1), v6(3, 1)];
    for now in 0..2000 {
        for network in networks {
            let _ = fail(&throttle, account("a"), network, now);
        }
    }
    assert_eq!(fail(&throttle, account("a"), HOME, 2000), Ok(()));
}

#[test]
fn from_the_thirtieth_failure_of_more_networks_on_an_account_waits_everywhere() {
    let throttle = Throttle::new(0);
    for network in 0..6 {
        for _ in 0..5 {
            assert_eq!(fail(&throttle, account("a"), address(network), 100), Ok(()));
        }
    }
    let mut now = 100;
    for (n, wait) in (100..).zip([60, 120, 240, 480, 900, 900]) {
        // Each from a new network, as every failure adds now.
        assert_eq!(fail(&throttle, account("a"), address(n), now), Err(wait));
        now += wait;
        assert_eq!(fail(&throttle, account("a"), address(n), now), Ok(()));
    }
    assert_eq!(fail(&throttle, account("b"), address(1), now), Ok(()));
    throttle.clear(account("a"));
    assert_eq!(fail(&throttle, account("a"), HOME, now), Ok(()), "cleared");
}

#[test]
fn a_48_is_one_place_to_an_account_and_has_thirty_tries_at_it() {
    let throttle = Throttle::new(0);
    for network in 0..30 {
        assert_eq!(fail(&throttle, account("a"), v6(1, network), 100), Ok(()));
    }
    let mut now = 100;
    for (network, wait) in (100..).zip([60, 120]) {
        let early = fail(&throttle, account("a"), v6(1, network), now);
        assert_eq!(early, Err(wait), "a new /64 helps nobody");
        now += wait;
        assert_eq!(fail(&throttle, account("a"), v6(1, network), now), Ok(()));
    }
    // To the others this is one network, which adds five.
    for neighbour in [address(1), address(2), v6(2, 1), v6(3, 1)] {
        for _ in 0..5 {
            assert_eq!(fail(&throttle, account("a"), neighbour, 200), Ok(()));
        }
    }
    assert_eq!(fail(&throttle, account("a"), HOME, 200), Ok(()));
}

#[test]
fn a_login_clears_an_accounts_counts_and_not_its_networks() {
    let throttle = Throttle::new(0);
    for n in 0..15 {
        assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 100), Ok(()));
    }
    for _ in 0..5 {
        assert_eq!(fail(&throttle, account("mine"), HOME, 100), Ok(()));
    }
    throttle.clear(account("mine"));
    assert_eq!(fail(&throttle, account("mine"), HOME, 100), Err(1));
    assert_eq!(fail(&throttle, account("mine"), address(1), 100), Ok(()));
}

#[test]
fn a_known_browser_waits_for_its_own_failures_only_and_counts_for_nothing_else() {
    let throttle = Throttle::new(0);
    for n in 0..100 {
        let _ = fail(&throttle, account("a"), address(n), 100);
        let _ = fail(&throttle, account(&n.to_string()), HOME, 100);
    }
    let seen = waits(&throttle, browser("own"), HOME, 17);
    assert_eq!(seen[..5], [0; 5]);
    assert_eq!(seen[5..8], [1, 2, 4]);
    assert_eq!(seen[14..], [512, 900, 900]);

    let throttle = Throttle::new(0);
    for n in 0..100 {
        let _ = fail(&throttle, browser(&n.to_string()), HOME, 100);
        drop(code(&throttle, CodeFrom::KnownBrowser, 100));
    }
    for _ in 0..5 {
        assert_eq!(fail(&throttle, account("a"), HOME, 100), Ok(()));
    }
}
