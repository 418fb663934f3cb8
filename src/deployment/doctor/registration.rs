//! Whether strangers can make themselves an account, which may open the application.

use crate::deployment::doctor::login::wire_to;
use crate::deployment::doctor::wire::Trust;
use crate::deployment::doctor::{Finding, Patient, Visit, fail, get, pass, skip};

const REGISTRATION: &str = "strangers cannot make themselves an account";

/// Where the form of a login's first page leads that strangers can register on.
const FORM: &str = "action=\"/register\"";

impl Visit {
    /// Asks the login for its first page: where strangers can register it is the form for that, else
    /// the way to another.
    pub(super) fn strangers_cannot_register(&self, patient: &Patient, trust: &Trust) -> Finding {
        if patient.open_registration {
            return skip(REGISTRATION, "they may, as --open-registration says");
        }
        let Some(url) = self.login() else {
            return skip(
                REGISTRATION,
                "cannot tell where the login is; say so with --public-url",
            );
        };
        let fields = ["Accept: text/html".to_owned()];
        let answer = wire_to(&url, patient, trust)
            .and_then(|login| login.send(&get("/", &login.authority(), &fields)));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                return skip(
                    REGISTRATION,
                    format!("the login cannot be reached: {error}"),
                );
            }
        };
        let to = answer.field("location").and_then(|to| url.join(to).ok());
        let leads_to_login = to.is_some_and(|to| to.path() == "/login");
        match answer.status {
            200 if answer.body().contains(FORM) => fail(
                REGISTRATION,
                "start auth_user with --registration invited, or say --open-registration here if \
                 they may",
            ),
            302 | 303 if leads_to_login => pass(REGISTRATION),
            status => skip(
                REGISTRATION,
                format!("the login answers / with {status}, and shows nothing of it"),
            ),
        }
    }
}
