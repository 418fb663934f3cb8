//! Which entries can be taken: the rules for accounts that operators make, and what is in a file
//! twice or here already.

use std::collections::{HashMap, HashSet};

use super::{Bad, Entry, Found, Imported, Wanted};
use crate::accounts::kept::Created;
use crate::accounts::password::PasswordHash;
use crate::accounts::registration::is_reserved;
use crate::accounts::{Account, Accounts, Taken, groups, names};
use crate::as_typed;
use crate::clock::Timestamp;
use crate::reply::Outcome;

/// Makes an account of each entry, or says of each bad one why it cannot be taken.
pub(super) fn judge_all(
    found: Found,
    known: &Accounts,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<(Vec<Account>, Vec<Imported>), Vec<Bad>> {
    let merged = if wanted.local_names {
        merged_names(&found)
    } else {
        HashSet::new()
    };
    let (mut accounts, mut imported, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = Seen::default();
    for entry in found {
        let judged = entry.and_then(|entry| {
            let (line, said) = (entry.line, entry.username.clone());
            let judged = account(entry, wanted, now).and_then(|account| {
                if merged.contains(names::key(&account.username).as_ref()) {
                    return Err("--local-names makes this the name of another entry too".to_owned());
                }
                seen.judge(line, &account, known).map(|()| account)
            });
            let judged = judged.map_err(|why| Bad::new(line, &said, why))?;
            Ok((line, judged))
        });
        match judged {
            Ok((line, account)) => {
                imported.push(Imported {
                    line,
                    username: account.username.clone(),
                    is_admin: account.groups.iter().any(|group| group == "admins"),
                    link: None,
                });
                accounts.push(account);
            }
            Err(why) => bad.push(why),
        }
    }
    if bad.is_empty() {
        Ok((accounts, imported))
    } else {
        Err(bad)
    }
}

/// The local parts that stand for more than one name, compared as names are.
fn merged_names(found: &Found) -> HashSet<String> {
    let mut whole: HashMap<String, HashSet<String>> = HashMap::new();
    for entry in found.iter().flatten() {
        let name = names::key(entry.username.trim()).into_owned();
        let local = local_part(&name).to_owned();
        whole.entry(local).or_default().insert(name);
    }
    let merged = whole.into_iter().filter(|(_, whole)| whole.len() > 1);
    merged.map(|(local, _)| local).collect()
}

fn local_part(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(local, _)| local)
}

/// The names and addresses of the entries so far, each with its line.
#[derive(Default)]
struct Seen {
    names: HashMap<String, u64>,
    addresses: HashMap<String, u64>,
}

impl Seen {
    /// Why an account has what is another's already, in the file or here.
    fn judge(&mut self, line: u64, account: &Account, known: &Accounts) -> Result<(), String> {
        let name = names::key(&account.username).into_owned();
        let address = account.email.as_deref().map(names::key);
        if let Some(taken) = known.taken(&account.username, account.email.as_deref()) {
            return Err(is_taken(taken));
        }
        if let Some(first) = self.names.get(&name) {
            return Err(format!("this name is in line {first} already"));
        }
        if let Some(address) = address {
            if let Some(first) = self.addresses.get(address.as_ref()) {
                return Err(format!("its address is in line {first} already"));
            }
            self.addresses.insert(address.into_owned(), line);
        }
        self.names.insert(name, line);
        Ok(())
    }
}

/// The account that an entry is, by the rules for accounts that operators make.
fn account(entry: Entry, wanted: &Wanted<'_>, now: Timestamp) -> Result<Account, String> {
    let username = username(&entry.username, wanted.local_names)?;
    let written = entry.email.as_deref().map(|email| email.trim().to_owned());
    let mut written = written.filter(|email| !email.is_empty());
    let is_vouched_for = entry.is_vouched_for && written.is_some();
    if written.is_none() && entry.username.contains('@') {
        written = Some(entry.username.clone());
    }
    let made_up = || Some(format!("{username}@{}", wanted.email_domain?));
    let email = match written.or_else(made_up) {
        None => None,
        Some(email) => Some(
            names::parse_email(&as_typed::email(&email))
                .ok_or_else(|| format!("{email} is not an e-mail address"))?,
        ),
    };
    let names = entry.groups.iter().map(String::as_str);
    let groups = groups::of_names(names).map_err(|odd| odd.to_string())?;
    let hash = entry.hash.filter(|hash| !hash.is_empty());
    let hash = match (&hash, &email) {
        (Some(hash), _) => Some(PasswordHash::parse(hash)?),
        (None, None) => return Err("it has neither a password hash nor an address".to_owned()),
        // A link is mailed, but to who is disabled.
        (None, Some(_)) => None,
    };
    let mut account = Account::made_by_operator(&username, "", groups, hash, now);
    account.email = email;
    account.email_proven = is_vouched_for;
    account.disabled = entry.disabled;
    account.created = Created::At(entry.created.unwrap_or(now));
    Ok(account)
}

fn username(written: &str, local_names: bool) -> Result<String, String> {
    let name = as_typed::name(written);
    let name = if local_names {
        local_part(&name)
    } else {
        &name
    };
    if name != as_typed::name(written).as_str() && is_reserved(name) {
        // Whoever registered as root@elsewhere did not ask anybody for the name root.
        return Err(format!(
            "--local-names makes this {name}, a name that is only given on purpose"
        ));
    }
    if names::is_username(name) {
        return Ok(name.to_owned());
    }
    Err(match names::parse_email(name) {
        Some(_) => "an address is not a name".to_owned(),
        None => "not a name: 1 to 64 letters, digits and . _ - +, the first a letter or digit"
            .to_owned(),
    })
}

/// What is said of a name or an address that is another account's.
pub(super) fn is_taken(taken: Taken) -> String {
    let outcome = match taken {
        Taken::Username => Outcome::UserExists,
        Taken::Email => Outcome::EmailExists,
    };
    outcome.message().into_owned()
}
