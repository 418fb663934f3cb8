//! Everything that saves, as a table: what it does, and what is true before and after it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::files::failing_disk::world::{Cast, NEW_PASSWORD};
use crate::harness::{Accept, PASSWORD};

/// Sentences that are true of the accounts and sessions, by what the program shows of them.
pub(crate) type Facts = Vec<&'static str>;

/// Something a visitor does that has to be on disk before it is answered.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// What comes first, undisturbed.
    pub(crate) prepare: fn(&mut Cast),
    /// The request; its answer's code, or none if the program died over it.
    pub(crate) act: fn(&Cast) -> Option<String>,
    /// The files it saves, in this order.
    pub(crate) saves: &'static [&'static str],
    /// The code of success.
    pub(crate) done: &'static str,
    /// Which of the sentences are true now.
    pub(crate) look: fn(&Cast) -> Facts,
    pub(crate) before: &'static [&'static str],
    pub(crate) after: &'static [&'static str],
    /// What else may be true if success was not answered: all is saved, and the browser not told.
    pub(crate) between: Option<&'static [&'static str]>,
}

pub(crate) const USERS: &str = "users.json";
pub(crate) const SESSIONS: &str = "sessions.json";

const OLD: &str = "the old password works";
const NEW: &str = "the new password works";
const ALICE: &str = "alice is logged in";
const PHONE: &str = "her phone is logged in";
const BROWSER: &str = "the new browser is logged in";
const THERE: &str = "the account is there";
const ENROLLED: &str = "it has a second factor";
const TEN_CODES: &str = "there are ten recovery codes";
const NINE_CODES: &str = "there are nine recovery codes";
const MAILED: &str = "a mailed password is kept";
const NEW_KEY: &str = "the new authenticator counts";

pub(crate) const ALL: &[Operation] = &[
    Operation {
        name: "register",
        saves: &[USERS],
        prepare: |_| (),
        act: |cast| {
            let form = [
                ("username", "carol"),
                ("email", "carol@example.com"),
                ("password", PASSWORD),
            ];
            cast.stranger.try_code("/register", &form)
        },
        done: "registered",
        look: |cast| facts([(THERE, cast.password_works("carol", PASSWORD))]),
        before: &[],
        after: &[THERE],
        between: None,
    },
    Operation {
        name: "enrol",
        saves: &[SESSIONS, USERS],
        prepare: |cast| cast.begin_enrolment("bob"),
        act: |cast| {
            cast.stranger
                .try_code("/secret_key", &[("secret", &cast.code)])
        },
        done: "login_complete",
        look: |cast| {
            facts([
                (ENROLLED, cast.is_enrolled("bob")),
                (TEN_CODES, cast.codes_in_file("bob") == 10),
                (BROWSER, cast.stranger.is_logged_in()),
            ])
        },
        before: &[],
        after: &[ENROLLED, TEN_CODES, BROWSER],
        // It is saved, and the cookie was never sent.
        between: Some(&[ENROLLED, TEN_CODES]),
    },
    Operation {
        name: "log in with a code",
        saves: &[SESSIONS, USERS],
        prepare: Cast::begin_login,
        act: |cast| {
            cast.stranger
                .try_code("/secret_key", &[("secret", &cast.recovery_code)])
        },
        done: "login_complete",
        look: |cast| {
            facts([
                (TEN_CODES, cast.codes_left() == 10),
                (NINE_CODES, cast.codes_left() == 9),
                (BROWSER, cast.stranger.is_logged_in()),
            ])
        },
        before: &[TEN_CODES],
        after: &[NINE_CODES, BROWSER],
        between: Some(&[NINE_CODES]),
    },
    Operation {
        name: "ask for a new password",
        saves: &[USERS],
        prepare: |_| (),
        act: |cast| {
            let code = cast
                .stranger
                .try_code("/forgot_password", &[("username", "alice")]);
            cast.wait_for_errands();
            code
        },
        done: "new_password_sent",
        look: |cast| {
            facts([
                (OLD, cast.password_works("alice", PASSWORD)),
                (MAILED, cast.has_mailed_password()),
            ])
        },
        before: &[OLD],
        after: &[OLD, MAILED],
        between: None,
    },
    Operation {
        name: "use a mailed password",
        saves: &[USERS],
        prepare: Cast::ask_for_mail,
        act: |cast| {
            let form = [("username", "alice"), ("password", cast.mailed.as_str())];
            cast.stranger.try_code("/login", &form)
        },
        done: "code_required",
        look: |cast| {
            facts([
                (OLD, cast.password_works("alice", PASSWORD)),
                (MAILED, cast.has_mailed_password()),
            ])
        },
        before: &[OLD, MAILED],
        after: &[OLD],
        between: None,
    },
    Operation {
        name: "choose a password after a mailed one",
        // Last the sessions go that the old password had.
        saves: &[SESSIONS, USERS, SESSIONS],
        prepare: Cast::use_mail,
        act: |cast| {
            let form = [("new_password", NEW_PASSWORD)];
            cast.stranger.try_code("/account/password", &form)
        },
        done: "password_changed",
        look: passwords_and_sessions,
        before: &[OLD, ALICE, PHONE],
        after: &[NEW, BROWSER],
        // The password is saved, and the cookie was never sent.
        between: Some(&[NEW]),
    },
    Operation {
        name: "change the password",
        // Last the sessions go that the old password had.
        saves: &[SESSIONS, USERS, SESSIONS],
        prepare: |cast| cast.stranger = cast.alice.reading(Accept::Json),
        act: |cast| {
            let form = [
                ("current_password", PASSWORD),
                ("new_password", NEW_PASSWORD),
            ];
            cast.stranger.try_code("/account/password", &form)
        },
        done: "password_changed",
        look: passwords_and_sessions,
        // The browser has alice's cookies until it is answered.
        before: &[OLD, ALICE, PHONE, BROWSER],
        after: &[NEW, BROWSER],
        between: Some(&[NEW]),
    },
    Operation {
        name: "log out",
        saves: &[SESSIONS],
        prepare: |_| (),
        act: |cast| cast.alice.reading(Accept::Json).try_code("/logout", &[]),
        done: "logged_out",
        look: sessions,
        before: &[ALICE, PHONE],
        after: &[PHONE],
        between: None,
    },
    Operation {
        name: "end the other sessions",
        // The first one decides.
        saves: &[USERS, SESSIONS],
        prepare: |_| (),
        act: |cast| {
            cast.alice
                .try_code("/account/sessions/end", &[("session", "others")])
        },
        done: "sessions_ended",
        look: sessions,
        before: &[ALICE, PHONE],
        after: &[ALICE],
        between: None,
    },
    Operation {
        name: "make new recovery codes",
        saves: &[USERS],
        prepare: Cast::spend_a_recovery_code,
        act: |cast| {
            let form = [("current_password", PASSWORD), ("secret", &cast.code)];
            cast.alice.try_code("/account/recovery_codes", &form)
        },
        done: "recovery_codes",
        look: |cast| {
            facts([
                (NINE_CODES, cast.codes_left() == 9),
                (TEN_CODES, cast.codes_left() == 10),
            ])
        },
        before: &[NINE_CODES],
        after: &[TEN_CODES],
        between: None,
    },
    Operation {
        name: "move the authenticator",
        saves: &[USERS],
        prepare: Cast::begin_move,
        act: |cast| {
            cast.alice
                .try_code("/account/totp/confirm", &[("secret", &cast.code)])
        },
        done: "authenticator_changed",
        look: |cast| {
            facts([
                (ALICE, cast.alice.is_logged_in()),
                (NEW_KEY, cast.has_new_key()),
            ])
        },
        before: &[ALICE],
        after: &[ALICE, NEW_KEY],
        between: None,
    },
    Operation {
        name: "delete the account",
        // The first one decides.
        saves: &[USERS, SESSIONS],
        prepare: |_| (),
        act: |cast| {
            let form = [("current_password", PASSWORD), ("secret", &cast.code)];
            cast.alice
                .reading(Accept::Json)
                .try_code("/account/delete", &form)
        },
        done: "account_deleted",
        look: |cast| {
            let mut facts = sessions(cast);
            facts.extend(self::facts([(
                THERE,
                cast.password_works("alice", PASSWORD),
            )]));
            facts
        },
        before: &[ALICE, PHONE, THERE],
        after: &[],
        between: None,
    },
];

pub(crate) fn named(name: &str) -> &'static Operation {
    ALL.iter().find(|operation| operation.name == name).unwrap()
}

fn sessions(cast: &Cast) -> Facts {
    facts([
        (ALICE, cast.alice.is_logged_in()),
        (PHONE, cast.phone.is_logged_in()),
    ])
}

fn passwords_and_sessions(cast: &Cast) -> Facts {
    let mut found = facts([
        (OLD, cast.password_works("alice", PASSWORD)),
        (NEW, cast.password_works("alice", NEW_PASSWORD)),
    ]);
    found.extend(sessions(cast));
    found.extend(facts([(BROWSER, cast.stranger.is_logged_in())]));
    found
}

fn facts<const N: usize>(found: [(&'static str, bool); N]) -> Facts {
    found
        .into_iter()
        .filter(|(_, is)| *is)
        .map(|(fact, _)| fact)
        .collect()
}

/// Every account of the file is whole: it has all an account is made with, a second factor with
/// its key, and recovery codes with it or not at all.
pub(crate) fn assert_no_half_accounts(dir: &Path) {
    let text = fs::read_to_string(dir.join("users.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    for (name, account) in file["users"].as_object().unwrap() {
        for field in ["email", "password", "created"] {
            assert!(account[field].is_string(), "{name} has no {field}");
        }
        assert_eq!(account["groups"], serde_json::json!(["users"]), "{name}");
        assert_eq!(account["disabled"], false, "{name}");
        let codes = account["recovery_codes"].as_array().unwrap().len();
        match &account["totp"] {
            Value::Null => assert_eq!(codes, 0, "{name}"),
            totp => {
                assert!(
                    totp["secret"].is_string() && totp["last_step"].is_u64(),
                    "{name}"
                );
                assert!((9..=10).contains(&codes), "{name} has {codes} codes");
            }
        }
    }
}
