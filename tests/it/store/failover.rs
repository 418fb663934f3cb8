//! The database's machine dies, and a standby that has all of its changes takes over.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::harness::{Answer, PASSWORD, PATIENCE, Server, Setup, Visitor, wait_for};
use crate::operator::run;
use crate::store::away::{asks, health};
use crate::store::{on, with_key};

/// What those who change their password choose.
const CHOSEN: &str = "nine quiet rivers";

/// How many change things at the same time.
const BUSY_PEOPLE: usize = 4;

/// A server, its standby, and a node that knows both.
pub(crate) struct Pair {
    pub(crate) primary: Cluster,
    pub(crate) standby: Cluster,
    pub(crate) setup: Setup,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let primary = Cluster::start(None);
        let standby = primary.standby();
        let (setup, _) = with_key();
        let database = primary.database("secret");
        let url = primary.url_of_pair(&standby, &database, "secret");
        let (status, _, err) = run(&setup, &["store", "migrate", &url], b"");
        assert_eq!(status, 0, "{err}");
        let setup = on(&setup, &url).for_applications();
        Self {
            primary,
            standby,
            setup: setup.with(&["--registrations-per-hour", "0"]),
        }
    }
}

/// What somebody was told of a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    Done,
    /// That nothing of it is there.
    Nothing,
    /// That nobody knows.
    Unknown,
}

impl Told {
    #[track_caller]
    pub(crate) fn of(answer: &Answer, done: &str) -> Self {
        match (answer.status, answer.json()["code"].as_str().unwrap()) {
            (_, code) if code == done => Self::Done,
            (503, "busy" | "not_saved") => Self::Nothing,
            (503, "unknown") => Self::Unknown,
            _ => panic!("{answer:?}"),
        }
    }

    /// Fails the test if they were told what is not so.
    #[track_caller]
    fn judge(self, is_there: bool, what: &str) {
        match self {
            Self::Done => assert!(is_there, "{what}: answered, and lost"),
            Self::Nothing => assert!(!is_there, "{what}: told that it is not saved, and it is"),
            Self::Unknown => {}
        }
    }
}

/// Somebody, with what they were told of each thing they did.
struct Person {
    name: String,
    visitor: Visitor,
    registered: Told,
    entered: Option<Told>,
    left: Option<Told>,
    chose: Option<Told>,
}

impl Person {
    /// Registers, logs in for the first time, and then logs out, or chooses another password, or
    /// stays.
    fn live(server: &Server, name: String, n: usize) -> Self {
        let mut person = Self {
            visitor: Visitor::program(server),
            registered: Told::Nothing,
            entered: None,
            left: None,
            chose: None,
            name,
        };
        person.registered = person.register();
        if person.registered == Told::Done {
            person.entered = person.enter();
        }
        if person.entered == Some(Told::Done) {
            match n % 3 {
                0 => {
                    let answer = person.visitor.post("/logout", &[]);
                    person.left = Some(Told::of(&answer, "logged_out"));
                }
                1 => {
                    let form = [("current_password", PASSWORD), ("new_password", CHOSEN)];
                    let answer = person.visitor.post("/account/password", &form);
                    person.chose = Some(Told::of(&answer, "password_changed"));
                }
                _ => {}
            }
        }
        person
    }

    fn register(&self) -> Told {
        let email = format!("{}@example.com", self.name);
        let form = [
            ("username", self.name.as_str()),
            ("email", &email),
            ("password", PASSWORD),
        ];
        Told::of(&self.visitor.post("/register", &form), "registered")
    }

    /// `None` if it did not come to the last step.
    fn enter(&self) -> Option<Told> {
        let login = [("username", self.name.as_str()), ("password", PASSWORD)];
        let answer = self.visitor.post("/login", &login);
        if Told::of(&answer, "enrol_required") != Told::Done {
            return None;
        }
        let key = answer.json()["secret"].as_str().unwrap().to_owned();
        let code = crate::harness::Authenticator::new(&key).code();
        let answer = self.visitor.post("/secret_key", &[("secret", &code)]);
        Some(Told::of(&answer, "login_complete"))
    }

    /// All that they were told.
    fn told(&self) -> impl Iterator<Item = Told> {
        let more = [self.entered, self.left, self.chose];
        [self.registered]
            .into_iter()
            .chain(more.into_iter().flatten())
    }

    /// Fails the test if they were told what is not so.
    fn judge(&self, accounts: &BTreeSet<String>) {
        let name = &self.name;
        self.registered.judge(accounts.contains(name), name);
        if self.entered == Some(Told::Done) {
            let is_in = self.visitor.is_logged_in();
            match self.left {
                Some(left) => left.judge(!is_in, &format!("the logout of {name}")),
                None => assert!(is_in, "the session of {name} is lost"),
            }
        }
        if let Some(chose) = self.chose {
            let login = [("username", name.as_str()), ("password", CHOSEN)];
            let code = self.visitor.post("/login", &login).json()["code"].clone();
            chose.judge(code == "code_required", &format!("the password of {name}"));
        }
    }
}

/// What people did while the database went from one machine to another.
pub(crate) struct Lives {
    people: Mutex<Vec<Person>>,
    /// How many changes were answered as done so far.
    done: AtomicUsize,
    is_over: AtomicBool,
}

impl Lives {
    /// Has people register, log in and so on, all the while that `meanwhile` runs.
    pub(crate) fn led(server: &Server, name: &str, meanwhile: impl FnOnce(&Self)) -> Self {
        let lives = Self {
            people: Mutex::default(),
            done: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            for one in 0..BUSY_PEOPLE {
                let lives = &lives;
                scope.spawn(move || lives.lead(server, &format!("{name}{one}n")));
            }
            let _over = Over(&lives.is_over);
            meanwhile(&lives);
        });
        lives
    }

    fn lead(&self, server: &Server, prefix: &str) {
        for n in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let person = Person::live(server, format!("{prefix}{n}"), n);
            let done = person.told().filter(|told| *told == Told::Done).count();
            self.done.fetch_add(done, Ordering::SeqCst);
            self.people.lock().unwrap().push(person);
            if done == 0 {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Waits until more changes are answered as done.
    pub(crate) fn wait_for_more(&self, more: usize) {
        let before = self.done.load(Ordering::SeqCst);
        wait_for("changes", || {
            (self.done.load(Ordering::SeqCst) >= before + more).then_some(())
        });
    }

    /// How often people were told this.
    pub(crate) fn count(&self, told: Told) -> usize {
        let people = self.people.lock().unwrap();
        let all = people.iter().flat_map(Person::told);
        all.filter(|one| *one == told).count()
    }

    /// Fails the test if anybody was told what is not so.
    pub(crate) fn judge(&self, setup: &Setup) {
        let (status, out, err) = run(setup, &["user", "list"], b"");
        assert_eq!(status, 0, "{err}");
        let names = out.lines().filter_map(|line| line.split('\t').next());
        let accounts: BTreeSet<String> = names.map(str::to_owned).collect();
        for person in self.people.lock().unwrap().iter() {
            person.judge(&accounts);
        }
    }
}

/// Ends what people do, also where the test has failed meanwhile.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Registers somebody until that is done; gives how long it took.
pub(crate) fn first_change(server: &Server, name: &str) -> Duration {
    let begun = Instant::now();
    for n in 0.. {
        let person = Person {
            name: format!("{name}x{n}"),
            visitor: Visitor::program(server),
            registered: Told::Nothing,
            entered: None,
            left: None,
            chose: None,
        };
        if person.register() == Told::Done {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is saved any more");
        thread::sleep(Duration::from_millis(10));
    }
    begun.elapsed()
}

#[test]
fn what_was_answered_is_there_after_a_standby_has_taken_over() {
    let pair = Pair::start();
    let server = pair.setup.start();
    let known = Visitor::program(&server);
    known.sign_up("known");
    known.enrol("known");
    assert_eq!(asks(&known).status, 200);

    let lives = Lives::led(&server, "p", |lives| {
        lives.wait_for_more(10);
        pair.primary.kill();
        // For seconds they are let in all the same, and then nobody is called logged out.
        assert!([200, 503].contains(&asks(&known).status));
        pair.standby.promote();
        lives.wait_for_more(10);
    });

    assert_eq!(asks(&known).status, 200);
    assert_eq!(health(&server), (200, "ok".to_owned()));
    lives.judge(&pair.setup);
    // What was being done is known or not, and all the rest is.
    assert!(lives.count(Told::Unknown) <= BUSY_PEOPLE);
}

#[test]
fn a_machine_that_only_keeps_silent_does_not_keep_the_other_from_taking_over() {
    let pair = Pair::start();
    let server = pair.setup.start();
    let known = Visitor::program(&server);
    known.sign_up("known");
    known.enrol("known");

    // Whoever connects to it waits.
    pair.primary.freeze(true);
    pair.standby.promote();

    first_change(&server, "a");
    assert_eq!(asks(&known).status, 200);
    // And so does a node that begins only now.
    let another = pair.setup.start();
    first_change(&another, "b");
    pair.primary.kill();
}
