//! Who there is in a directory on whose disk something is going to fail: alice with a browser and
//! a phone, bob, who has not enrolled, and a stranger.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use serde_json::Value;

use crate::harness::{Authenticator, PASSWORD, PATIENCE, Server, Setup, Visitor};

pub(crate) const NEW_PASSWORD: &str = "eight tame horses";

/// The directory's files and everybody's secrets, made once for all tests.
struct Prepared {
    users: String,
    sessions: String,
    alice: Vec<(String, String)>,
    phone: Vec<(String, String)>,
    key: String,
    recovery_codes: Vec<String>,
}

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let setup = Setup::new().with(&["--no-tls"]);
        let mut server = setup.start();
        let (alice, phone) = (Visitor::program(&server), Visitor::program(&server));
        alice.register("alice");
        let login = [("username", "alice"), ("password", PASSWORD)];
        let key = alice.post("/login", &login).json()["secret"]
            .as_str()
            .unwrap()
            .to_owned();
        let authenticator = Authenticator::new(&key);
        let answer = alice.post("/secret_key", &[("secret", &authenticator.code())]);
        let recovery_codes = answer.recovery_codes();
        phone.log_in("alice", PASSWORD, &authenticator);
        phone.register("bob");
        server.kill();
        // So that every code of the authenticator is good again.
        let mut users = server.users();
        users["users"]["alice"]["totp"]["last_step"] = 0.into();
        let cookies = |visitor: &Visitor| visitor.cookies.borrow().clone().into_iter().collect();
        Prepared {
            users: users.to_string(),
            sessions: fs::read_to_string(server.path("sessions.json")).unwrap(),
            alice: cookies(&alice),
            phone: cookies(&phone),
            key,
            recovery_codes,
        }
    })
}

/// The server and everybody at it.
pub(crate) struct Cast {
    pub(crate) setup: Arc<Setup>,
    pub(crate) server: Server,
    pub(crate) alice: Visitor,
    pub(crate) phone: Visitor,
    pub(crate) stranger: Visitor,
    /// The next code of alice's authenticator, or of the one being enrolled.
    pub(crate) code: String,
    pub(crate) recovery_code: String,
    pub(crate) mailed: String,
}

impl Cast {
    /// In a new directory.
    pub(crate) fn new() -> Self {
        Self::in_setup(Setup::new().with(&["--no-tls", "--registrations-per-hour", "0"]))
    }

    pub(crate) fn in_setup(setup: Setup) -> Self {
        let prepared = prepared();
        for (name, text) in [
            ("users.json", &prepared.users),
            ("sessions.json", &prepared.sessions),
        ] {
            let path = setup.dir().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        let server = setup.start();
        let visitor = |cookies: &[(String, String)]| {
            let visitor = Visitor::program(&server);
            visitor.cookies.borrow_mut().extend(cookies.iter().cloned());
            visitor
        };
        Self {
            alice: visitor(&prepared.alice),
            phone: visitor(&prepared.phone),
            stranger: visitor(&[]),
            code: Authenticator::new(&prepared.key).code(),
            recovery_code: prepared.recovery_codes[3].clone(),
            mailed: String::new(),
            setup: Arc::new(setup),
            server,
        }
    }

    /// Everybody as they are, at the program killed and started anew.
    pub(crate) fn restarted(mut self) -> Self {
        self.server.kill();
        let server = self.setup.start();
        Self {
            alice: self.alice.at(&server),
            phone: self.phone.at(&server),
            stranger: self.stranger.at(&server),
            server,
            ..self
        }
    }

    // What happens before the disk fails.

    pub(crate) fn begin_enrolment(&mut self, name: &str) {
        let login = [("username", name), ("password", PASSWORD)];
        let key = self.stranger.post("/login", &login).json()["secret"].take();
        self.code = Authenticator::new(key.as_str().unwrap()).code();
    }

    pub(crate) fn begin_login(&mut self) {
        let login = [("username", "alice"), ("password", PASSWORD)];
        self.stranger.post("/login", &login).expect("code_required");
    }

    pub(crate) fn ask_for_mail(&mut self) {
        self.mailed = self.stranger.mailed_password(&self.server, "alice");
    }

    pub(crate) fn use_mail(&mut self) {
        self.ask_for_mail();
        let login = [("username", "alice"), ("password", self.mailed.as_str())];
        self.stranger.post("/login", &login).expect("code_required");
        self.stranger
            .post("/secret_key", &[("secret", &self.code)])
            .expect("password_change_required");
    }

    pub(crate) fn spend_a_recovery_code(&mut self) {
        self.begin_login();
        self.stranger
            .post("/secret_key", &[("secret", &self.recovery_code)])
            .expect("login_complete");
    }

    pub(crate) fn begin_move(&mut self) {
        let form = [
            ("current_password", PASSWORD),
            ("secret", self.code.as_str()),
        ];
        let key = self.alice.post("/account/totp", &form).json()["secret"].take();
        self.code = Authenticator::new(key.as_str().unwrap()).code();
    }

    // What can be seen of it.

    pub(crate) fn password_works(&self, name: &str, password: &str) -> bool {
        let login = [("username", name), ("password", password)];
        let code = Visitor::program(&self.server).post("/login", &login).json()["code"].take();
        match code.as_str().unwrap() {
            "code_required" | "enrol_required" => true,
            "wrong_credentials" => false,
            other => panic!("{other}"),
        }
    }

    pub(crate) fn is_enrolled(&self, name: &str) -> bool {
        let login = [("username", name), ("password", PASSWORD)];
        Visitor::program(&self.server).post("/login", &login).json()["code"] == "code_required"
    }

    fn in_file(&self, name: &str) -> Value {
        self.server.users()["users"][name].take()
    }

    pub(crate) fn codes_in_file(&self, name: &str) -> usize {
        self.in_file(name)["recovery_codes"]
            .as_array()
            .unwrap()
            .len()
    }

    /// As memory has it, which has to agree with the file.
    pub(crate) fn codes_left(&self) -> u64 {
        let left = self.phone.get("/account").json()["recovery_codes_left"]
            .as_u64()
            .unwrap();
        assert_eq!(left, self.codes_in_file("alice") as u64);
        left
    }

    pub(crate) fn has_mailed_password(&self) -> bool {
        self.in_file("alice")["mailed_passwords"].is_array()
    }

    pub(crate) fn has_new_key(&self) -> bool {
        self.in_file("alice")["totp"]["secret"] != prepared().key
    }

    /// Returns once what was asked for has been done, or given up.
    pub(crate) fn wait_for_errands(&self) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let log = self.server.log();
            let ended = ["a mail waits", "not_saved", "not_written"]
                .iter()
                .any(|end| log.contains(end));
            // The line that says so may be what fails.
            let written = fs::read_dir(self.server.path("outbox"))
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| entry.path().extension().is_some_and(|e| e == "eml"));
            if ended || written || self.server.is_zombie() {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the mail was not written");
    }

    /// The next change, which succeeds.
    pub(crate) fn stranger_registers(&self, name: &str) {
        Visitor::program(&self.server).register(name);
    }

    /// The next change of either file, of which each removes the draft of its own.
    pub(crate) fn saves_both_files(&self) {
        Visitor::with_account(&self.server, "last");
    }
}
