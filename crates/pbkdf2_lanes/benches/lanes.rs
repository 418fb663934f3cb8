//! What a computation of 600,000 rounds costs a core, by the `pbkdf2` crate and by one to four
//! lanes, in turns: `cargo bench -p pbkdf2_lanes`.

use std::hint::black_box;

use pbkdf2::pbkdf2_hmac;
use pbkdf2_lanes::{Computation, LANES, derive};
use rustix::time::{ClockId, clock_gettime};
use sha2::Sha256;

const ROUNDS: u32 = 600_000;
/// How often each takes its turn.
const TURNS: usize = 7;

fn main() {
    let computation = Computation {
        password: b"seven wild horses",
        salt: &[7; 16],
        rounds: ROUNDS,
    };
    let (mut alone, mut by_lanes) = (Vec::new(), vec![Vec::new(); LANES]);
    for _ in 0..TURNS {
        alone.push(milliseconds(|| {
            let mut key = [0; 32];
            pbkdf2_hmac::<Sha256>(computation.password, computation.salt, ROUNDS, &mut key);
            black_box(key);
        }));
        for (took, lanes) in by_lanes.iter_mut().zip(1..) {
            let all = milliseconds(|| {
                black_box(derive(&vec![computation; lanes], 0));
            });
            took.push(all / lanes as f64);
        }
    }
    let alone = median(alone);
    println!("milliseconds of CPU time each, medians of {TURNS}");
    println!("the pbkdf2 crate  {alone:6.1}");
    for (took, lanes) in by_lanes.into_iter().zip(1..) {
        let each = median(took);
        let ratio = alone / each;
        println!("lanes: {lanes}          {each:6.1}  ({ratio:.2} times as many a second)");
    }
}

/// CPU time that the calling thread spends on this.
fn milliseconds(work: impl FnOnce()) -> f64 {
    let spent = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
    };
    let begun = spent();
    work();
    spent() - begun
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
