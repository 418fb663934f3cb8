//! What is told to those who wait is true.

use super::*;
use crate::accounts::WrongCodes;
use crate::accounts::throttle::limits::MAX_WAIT;

#[test]
fn a_second_is_a_second_wherever_in_one_it_begins() {
    let throttle = Throttle::new(0);
    let begin = |millis| throttle.begin(account("a"), HOME, Duration::from_millis(millis));
    for _ in 0..6 {
        drop(begin(100_931));
    }
    let early = TooEarly::Wait(Duration::from_millis(1));
    assert_eq!(begin(101_930).err(), Some(early));
    assert!(begin(101_931).is_ok());
}

#[test]
fn the_longest_of_several_waits_is_told() {
    let throttle = Throttle::new(0);
    for n in 0..22 {
        let _ = fail(&throttle, account(&n.to_string()), HOME, 7 + n * 2);
    }
    for of_account in [1, 100, 900] {
        let wait = Some(secs(of_account));
        let begun = throttle.begin_code(CodeFrom::Stranger, HOME, wait, secs(50));
        let network = throttle.begin_code(CodeFrom::Stranger, HOME, None, secs(50));
        let Some(TooEarly::Wait(network)) = network.err() else {
            panic!("the network waits");
        };
        let longest = network.max(secs(of_account));
        assert_eq!(begun.err(), Some(TooEarly::Wait(longest)));
    }
}

#[test]
fn wrong_tokens_lengthen_no_wait() {
    let throttle = Throttle::new(0);
    let wrong =
        |n: u64, now| throttle.wrong_token(Digest::of(&n.to_string()), HOME, secs(now), true);
    for n in 0..21 {
        assert!(wrong(n, 1000));
    }
    assert_eq!(fail(&throttle, account("a"), HOME, 1000), Err(1));

    for n in 21..100 {
        assert!(wrong(n, 1000), "it is told of all the same");
    }

    assert_eq!(fail(&throttle, account("a"), HOME, 1000), Err(1));
    assert_eq!(fail(&throttle, account("a"), HOME, 1001), Ok(()));
}

#[test]
fn waiting_as_told_is_enough_though_members_leave_meanwhile() {
    let throttle = Throttle::new(0);
    for n in 0..4 {
        throttle.note_member(Digest::of(&n.to_string()), HOME, secs(1000));
    }
    // Four more failures than a network without members may have: a second to wait now, sixteen
    // once the members are gone.
    for n in 0..24 {
        assert_eq!(fail(&throttle, account(&n.to_string()), HOME, 4599), Ok(()));
    }
    assert_eq!(fail(&throttle, account("x"), HOME, 4599), Err(16));
    assert_eq!(fail(&throttle, account("x"), HOME, 4599 + 15), Err(1));
    assert_eq!(fail(&throttle, account("x"), HOME, 4599 + 16), Ok(()));
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn whatever_has_happened_waiting_as_told_is_enough_and_less_is_not() {
    let mut numbers = Numbers(88_172_645_463_325_252);
    for _ in 0..200 {
        let throttle = Throttle::new(0);
        let mut now = Duration::from_millis(10_000_000);
        for _ in 0..150 {
            now += Duration::from_millis(numbers.below(60_000));
            let name = numbers.below(4).to_string();
            let target = account(&name);
            let from = match numbers.below(3) {
                0 => address(u32::try_from(numbers.below(8)).unwrap()),
                1 => v6(1, u16::try_from(numbers.below(8)).unwrap()),
                _ => HOME,
            };
            if numbers.below(5) == 0 {
                throttle.note_member(Digest::of(&name), from, now);
            }
            match throttle.begin(target, from, now) {
                Ok(attempt) if numbers.below(20) == 0 => attempt.forgive(),
                Ok(attempt) => drop(attempt),
                Err(TooEarly::Undecided) => panic!("all is decided"),
                Err(TooEarly::Wait(wait)) => {
                    assert!(wait <= MAX_WAIT);
                    let just_before = now + wait - Duration::from_millis(1);
                    let early = throttle.begin(target, from, just_before);
                    assert!(early.is_err(), "less than what is left was told");
                    let then = throttle.begin(target, from, now + wait);
                    assert!(then.is_ok(), "waiting as told is enough");
                    let _ = then.map(Attempt::forgive);
                }
            }
        }
    }
}

#[test]
fn a_clock_set_back_makes_nobody_wait_longer() {
    let mut wrong = WrongCodes::default();
    for _ in 0..6 {
        wrong.add(secs(1_000_000));
    }
    let wait = Some(secs(2));
    assert_eq!(wrong.wait(secs(1_000_000)), wait);
    assert_eq!(wrong.wait(secs(1_000_000 - 60)), wait);
    assert_eq!(wrong.wait(secs(1_000_000 - 61)), None);
    assert_eq!(wrong.wait(secs(1_000_002)), None);
    // The next one counts by the clock as it is.
    wrong.add(secs(0));
    assert_eq!(wrong.wait(secs(0)), Some(secs(4)));
}
