//! An event, and the line that it is in the file.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::accounts::Account;
use crate::accounts::acts::Act;
use crate::accounts::login::SecondStep;
use crate::clock;

/// Who did it, if an operator did, by a command or an edit by hand. No username has a blank.
pub const OPERATOR: &str = "the operator";

/// Longest description of a browser that is written, in characters.
const MAX_AGENT: usize = 200;

/// Longest route that is written, in characters.
const MAX_ROUTE: usize = 100;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    AccountAdded,
    AccountDeleted,
    AccountDisabled,
    AccountEnabled,
    AccountImported,
    AccountRemoved,
    AccountRenamed,
    AuthenticatorChanged,
    EmailChanged,
    EmailConfirmed,
    GroupsChanged,
    InvitationEnded,
    Invited,
    LoggedIn,
    LoggedOut,
    NewBrowser,
    PasskeyAdded,
    PasskeyCopied,
    PasskeyRemoved,
    PasswordChanged,
    PasswordMailed,
    RecoveryCodesMade,
    Refused,
    Registered,
    SecondFactorReset,
    SessionsEnded,
    TokenMade,
    TokenRemoved,
}

impl Kind {
    /// What an act is that somebody did to another's account; `None` for one that only becomes an
    /// event once its mail is written.
    pub fn of_act(act: &Act) -> Option<Self> {
        Some(match act {
            Act::Disable => Self::AccountDisabled,
            Act::Enable => Self::AccountEnabled,
            Act::EndSessions => Self::SessionsEnded,
            Act::Groups(_) => Self::GroupsChanged,
            Act::NewPassword => return None,
            Act::NewPasswordOf(_) => Self::PasswordMailed,
            Act::Remove => Self::AccountRemoved,
            Act::ResetSecondFactor => Self::SecondFactorReset,
        })
    }
}

/// Where a request came from.
#[derive(Clone)]
pub struct Origin {
    address: String,
    agent: String,
}

impl Origin {
    /// `agent` is what the browser says it is.
    pub fn new(address: impl ToString, agent: &str) -> Self {
        Self {
            address: address.to_string(),
            agent: agent.chars().take(MAX_AGENT).collect(),
        }
    }
}

/// Something that happened, as the file has it.
#[derive(Clone, Serialize)]
pub struct Event {
    #[serde(serialize_with = "as_text")]
    time: Duration,
    #[serde(rename = "event")]
    kind: Kind,
    user: Option<String>,
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    address: Option<String>,
    agent: Option<String>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<SecondStep>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mailed_password: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

impl Event {
    /// Something that happened now, to nobody yet.
    pub fn of(kind: Kind) -> Self {
        Self {
            time: clock::since_epoch(),
            kind,
            user: None,
            id: None,
            by: None,
            address: None,
            agent: None,
            result: "ok",
            at: None,
            with: None,
            mailed_password: false,
            from: None,
            email: None,
            groups: None,
            invitation: None,
            count: None,
            node: None,
        }
    }

    /// Something that was done so often, and is not listed.
    pub(super) fn counted(kind: Kind, result: &'static str, count: u64) -> Self {
        Self {
            result,
            count: Some(count),
            ..Self::of(kind)
        }
    }

    /// Whose account it concerns.
    pub fn about(self, account: &Account) -> Self {
        let id = account.id.as_ref().map(|id| id.as_str());
        self.named(&account.username, id)
    }

    /// As [`Event::about`], for an account that is gone.
    pub fn named(self, user: &str, id: Option<&str>) -> Self {
        Self {
            user: Some(user.to_owned()),
            id: id.map(str::to_owned),
            ..self
        }
    }

    /// Who did it, if not the account's owner: an administrator, or [`OPERATOR`].
    pub fn by(self, who: &str) -> Self {
        let by = Some(who.to_owned());
        Self { by, ..self }
    }

    /// Where the request for it came from.
    pub fn from(self, origin: Origin) -> Self {
        Self {
            address: Some(origin.address),
            agent: Some(origin.agent),
            ..self
        }
    }

    /// It was refused, with the outcome's code, at this route.
    pub fn refused(self, result: &'static str, at: &str) -> Self {
        let at = Some(at.chars().take(MAX_ROUTE).collect());
        Self { result, at, ..self }
    }

    /// By what a login passed its second step.
    pub fn with(self, step: SecondStep) -> Self {
        let with = Some(step);
        Self { with, ..self }
    }

    /// The login began with a mailed password.
    pub fn after_mailed_password(self) -> Self {
        let mailed_password = true;
        Self {
            mailed_password,
            ..self
        }
    }

    /// What the name was before.
    pub fn was(self, name: &str) -> Self {
        let from = Some(name.to_owned());
        Self { from, ..self }
    }

    /// The address of an invitation.
    pub fn email(self, email: &str) -> Self {
        let email = Some(email.to_owned());
        Self { email, ..self }
    }

    /// The groups of an account or an invitation.
    pub fn groups(self, groups: &[String]) -> Self {
        let groups = Some(groups.to_vec());
        Self { groups, ..self }
    }

    /// The id of an invitation; not its link.
    pub fn invitation(self, id: &str) -> Self {
        let invitation = Some(id.to_owned());
        Self { invitation, ..self }
    }

    /// The node that saw it, of several.
    #[cfg(feature = "postgres")]
    pub(super) fn on(self, node: &str) -> Self {
        let node = Some(node.to_owned());
        Self { node, ..self }
    }

    /// When it was, since 1970.
    #[cfg(feature = "postgres")]
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// The name in the file of what happened, and what came of it.
    pub(super) fn what(&self) -> (Kind, &'static str) {
        (self.kind, self.result)
    }

    /// The id of the account.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The event as its line.
    pub(super) fn line(&self) -> Vec<u8> {
        // Nothing in an event can fail to be written as JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// A line as it is read: what all have, and whatever other versions wrote.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    pub time: String,
    pub event: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub address: Option<String>,
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub result: String,
    /// By what a login passed its second step.
    #[serde(default)]
    pub with: Option<String>,
    /// How many there were that are not listed.
    #[serde(default)]
    pub count: Option<u64>,
}

impl Seen {
    /// Reads a line; `None` if it is none, as one that was cut off.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// What administrators are told of an event of an account.
    pub fn told(&self) -> Value {
        json!({
            "time": self.time,
            "event": self.event,
            "by": self.by,
            "address": self.address,
            "agent": self.agent,
            "result": self.result,
        })
    }

    /// When it was, in seconds since 1970.
    pub fn at(&self) -> u64 {
        self.milliseconds() / 1_000
    }

    /// When it was, in milliseconds since 1970.
    pub(super) fn milliseconds(&self) -> u64 {
        let moment = OffsetDateTime::parse(&self.time, &Rfc3339);
        let since = moment.map_or(0, |at| at.unix_timestamp_nanos() / 1_000_000);
        u64::try_from(since).unwrap_or(0)
    }
}

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment since 1970 as the file has it. All are equally long and in UTC: as texts they are in
/// the same order as in time.
pub fn written(moment: Duration) -> String {
    let nanoseconds = i128::try_from(moment.as_nanos()).ok();
    let text = nanoseconds
        .and_then(|since| OffsetDateTime::from_unix_timestamp_nanos(since).ok())
        .and_then(|moment| moment.format(FORMAT).ok());
    text.unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
}

fn as_text<S: Serializer>(moment: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&written(*moment))
}
