//! The commands about accounts and invitations, and their flags.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use crate::accounts::setting::{Grouping, Setting};
use crate::accounts::{groups, invitations, names};
use crate::as_typed;
use crate::config::duration;

/// Works on the accounts of --users.
#[derive(Subcommand)]
pub enum User {
    /// List the accounts: name, e-mail, groups, state, second factor or not, last login
    List(List),
    /// Make an account, which enrols its second factor at the first login
    Add(Add),
    /// Show an account, where it is logged in, and what happened to it
    Show(Named),
    /// Change address, name or groups
    Set(Set),
    /// Keep an account from logging in, and log it out everywhere
    Disable(Named),
    /// Let it log in again
    Enable(Named),
    /// Take away the second factor and the recovery codes, and mail that; the next login enrols anew
    #[command(name = "reset-2fa")]
    ResetSecondFactor(Named),
    /// Mail a new password, which works once within 30 minutes
    NewPassword(Named),
    /// Log an account out everywhere
    EndSessions(Named),
    /// Remove an account for good; asks first, at a terminal
    Remove(Remove),
}

/// Works on one account.
#[derive(Args)]
pub struct Named {
    /// The username, in either case
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Its name is not given to strangers for 180 days.
#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    pub named: Named,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// All of it is one change.
#[derive(Args)]
#[command(group(
    ArgGroup::new("setting")
        .args(["email", "rename", "groups", "add_group", "remove_group"])
        .required(true)
        .multiple(true)
))]
pub struct Set {
    /// The username, in either case
    #[arg(value_name = "NAME")]
    pub name: String,

    // No doc comment: rustdoc would take the address for a tag.
    #[arg(
        long,
        help = "Another e-mail address, which you vouch for; the one it has is proven by that",
        value_name = "ADDRESS",
        value_parser = email
    )]
    pub email: Option<String>,

    /// Another username; logs the account out everywhere
    #[arg(long, value_name = "NEW", value_parser = username)]
    pub rename: Option<String>,

    /// All its groups, with commas between; "" is none
    #[arg(long, value_name = "GROUPS", value_parser = all_groups)]
    pub groups: Option<Groups>,

    /// Put it into these groups too; may be repeated
    #[arg(
        long,
        value_name = "GROUPS",
        value_parser = some_groups,
        conflicts_with_all = ["groups", "remove_group"]
    )]
    pub add_group: Vec<Groups>,

    /// Take it out of these groups; may be repeated
    #[arg(long, value_name = "GROUPS", value_parser = some_groups, conflicts_with = "groups")]
    pub remove_group: Vec<Groups>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Set {
    /// What is to be set.
    pub fn setting(&self) -> Setting {
        let all = |groups: &[Groups]| groups.iter().flat_map(|some| some.0.clone()).collect();
        let groups = match &self.groups {
            Some(groups) => Some(Grouping::All(groups.0.clone())),
            None if !self.add_group.is_empty() => Some(Grouping::Add(all(&self.add_group))),
            None if !self.remove_group.is_empty() => {
                Some(Grouping::Remove(all(&self.remove_group)))
            }
            None => None,
        };
        Setting {
            email: self.email.clone(),
            name: self.rename.clone(),
            groups,
        }
    }
}

fn all_groups(text: &str) -> Result<Groups, String> {
    let groups = groups::parse(text);
    groups.map(Groups).map_err(|odd| odd.to_string())
}

fn some_groups(text: &str) -> Result<Groups, String> {
    let groups = all_groups(text)?;
    match groups.0.is_empty() {
        true => Err("no group is named".to_owned()),
        false => Ok(groups),
    }
}

/// The link is printed, this once, and mailed if there is an address.
#[derive(Args)]
pub struct Invite {
    // No doc comment: rustdoc would take the address for a tag.
    #[arg(
        long,
        help = "Whom it is for; the account gets this address, proven",
        value_name = "ADDRESS",
        value_parser = email
    )]
    pub email: Option<String>,

    /// Groups besides users, with commas between
    #[arg(long, value_name = "GROUPS", default_value = "", hide_default_value = true, value_parser = groups)]
    pub groups: Groups,

    /// How long the link works, from 1h to 90d
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = valid)]
    pub valid: Valid,

    /// End the invitation with this id instead, as user list --json shows it
    // An id may begin with a hyphen.
    #[arg(long, value_name = "ID", allow_hyphen_values = true, conflicts_with_all = ["email", "groups", "valid"])]
    pub end: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints a person a line, with tabs between.
#[derive(Args)]
pub struct List {
    /// Only those in this group
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Names that registration does not give can be given here.
#[derive(Args)]
pub struct Add {
    /// The username
    #[arg(value_name = "NAME", value_parser = username)]
    pub username: String,

    // No doc comment: rustdoc would take the address for a tag.
    #[arg(
        long,
        help = "The e-mail address, which you vouch for",
        value_name = "ADDRESS",
        value_parser = email
    )]
    pub email: String,

    /// Groups besides users, with commas between
    #[arg(long, value_name = "GROUPS", default_value = "", hide_default_value = true, value_parser = groups)]
    pub groups: Groups,

    /// Set this password: the first line of standard input, or typed twice at a terminal. Without
    /// it a link is mailed and printed, by which they choose one themselves
    #[arg(long)]
    pub password_stdin: bool,

    /// How long that link works, from 1h to 90d
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = valid)]
    pub valid: Valid,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The groups of an account.
#[derive(Clone)]
pub struct Groups(pub Vec<String>);

/// How long an invitation works.
#[derive(Clone, Copy)]
pub struct Valid(pub Duration);

fn valid(text: &str) -> Result<Valid, String> {
    let valid = duration(text)?;
    let hour = Duration::from_secs(60 * 60);
    if !(hour..=invitations::MAX_LIFETIME).contains(&valid) {
        return Err("not between 1h and 90d".to_owned());
    }
    Ok(Valid(valid))
}

fn username(text: &str) -> Result<String, String> {
    let name = as_typed::name(text);
    if !names::is_username(&name) {
        return Err(
            "not 1 to 64 letters, digits and . _ - +, the first a letter or digit".to_owned(),
        );
    }
    Ok(name.to_string())
}

fn email(text: &str) -> Result<String, String> {
    names::parse_email(&as_typed::email(text)).ok_or_else(|| "not an e-mail address".to_owned())
}

fn groups(text: &str) -> Result<Groups, String> {
    groups::of_new_account(text)
        .map(Groups)
        .map_err(|odd| odd.to_string())
}
