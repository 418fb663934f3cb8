use super::*;
use crate::accounts::devices::Device;
use crate::accounts::password::PasswordHash;
use crate::accounts::token::{self, Digest};

const NOW: Timestamp = Timestamp(1_800_000_000);

/// alice, bob and carol, in this order; bob with all that logs in.
fn three() -> Accounts {
    let mut accounts = Accounts::default();
    for name in ["alice", "bob", "carol"] {
        let hash = PasswordHash::quick();
        let email = format!("{name}@example.com");
        let account = Account::new(name, &email, hash, NOW);
        accounts.add(account).unwrap();
    }
    accounts.change("bob", |bob| {
        bob.mail_password(Digest::of("mailed"), None, NOW);
        let browser = Digest::of(&token::cookie());
        bob.remember_device(Device::new(browser, "curl", NOW), NOW);
        bob.new_recovery_codes();
    });
    accounts
}

fn set(accounts: &mut Accounts, name: &str, setting: Setting) -> Result<Arc<Account>, Unset> {
    accounts.set(name, &setting, NOW).unwrap()
}

fn named(name: &str) -> Setting {
    Setting {
        name: Some(name.to_owned()),
        ..Setting::default()
    }
}

fn mailed_at(email: &str) -> Setting {
    Setting {
        email: Some(email.to_owned()),
        ..Setting::default()
    }
}

fn grouped(grouping: Grouping) -> Setting {
    Setting {
        groups: Some(grouping),
        ..Setting::default()
    }
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn order(accounts: &Accounts) -> Vec<&str> {
    accounts
        .iter()
        .map(|account| account.username.as_str())
        .collect()
}

#[test]
fn a_renamed_account_keeps_its_place_and_all_but_what_logs_in() {
    let mut accounts = three();
    let before = Arc::clone(accounts.find("bob").unwrap());

    let after = set(&mut accounts, "BOB", named("Robert")).unwrap();

    assert_eq!(order(&accounts), ["alice", "Robert", "carol"]);
    assert!(after.id.is_some() && after.id == before.id);
    assert!(after.groups == before.groups && after.created.at() == before.created.at());
    assert!(after.password_id() == before.password_id());
    assert_eq!(after.recovery_codes, before.recovery_codes);
    assert!(after.generation > before.generation, "its sessions go on");
    assert!(after.mailed_passwords.is_empty() && after.devices.is_empty());
    assert!(accounts.find("bob").is_none());
    let by_address = accounts.resolve("bob@example.com").unwrap();
    assert_eq!(by_address.username, "Robert");
    // Even of an account that was made a moment ago.
    assert!(accounts.former().holds("bob", NOW));
}

#[test]
fn another_case_is_another_name_and_nothing_is_held_for_it() {
    let mut accounts = three();
    let before = accounts.find("bob").unwrap().generation;

    let after = set(&mut accounts, "bob", named("Bob")).unwrap();

    assert_eq!(order(&accounts), ["alice", "Bob", "carol"]);
    assert!(after.generation > before);
    assert!(!accounts.former().holds("bob", NOW));
    let revision = accounts.revision();
    set(&mut accounts, "bob", named("Bob")).unwrap();
    assert_eq!(accounts.revision(), revision, "what is so is not changed");
}

#[test]
fn what_belongs_to_another_is_not_taken_from_them() {
    let mut accounts = three();
    let taken = |accounts: &mut Accounts, setting| set(accounts, "bob", setting).err();
    let name = taken(&mut accounts, named("ALICE"));
    assert_eq!(name, Some(Unset::Taken(Taken::Username)));
    let email = taken(&mut accounts, mailed_at("Carol@EXAMPLE.com"));
    assert_eq!(email, Some(Unset::Taken(Taken::Email)));
    assert_eq!(order(&accounts), ["alice", "bob", "carol"]);
    assert!(accounts.set("dave", &named("eve"), NOW).is_none());
}

#[test]
fn a_held_name_is_given_and_one_may_come_back_to_ones_own() {
    let mut accounts = three();
    set(&mut accounts, "bob", named("robert")).unwrap();
    set(&mut accounts, "alice", named("bob")).unwrap();
    assert_eq!(order(&accounts), ["bob", "robert", "carol"]);
    assert_eq!(
        accounts.resolve("alice@example.com").unwrap().username,
        "bob"
    );
}

#[test]
fn another_address_ends_what_was_mailed_to_the_old_one() {
    let mut accounts = three();
    let bob = Arc::clone(accounts.find("bob").unwrap());
    let link = Digest::of("link");
    accounts.expect_confirmation(link, &bob, None, NOW);

    let after = set(&mut accounts, "bob", mailed_at("new@example.com")).unwrap();

    assert_eq!(after.email.as_deref(), Some("new@example.com"));
    assert!(after.email_proven && after.mailed_passwords.is_empty());
    assert_eq!(after.generation, bob.generation, "sessions stay");
    assert!(!after.devices.is_empty());
    assert!(accounts.confirmable(link, NOW).is_none());
    assert!(accounts.resolve("bob@example.com").is_none());
}

#[test]
fn the_address_that_is_there_is_only_proven() {
    let mut accounts = three();
    let after = set(&mut accounts, "bob", mailed_at("BOB@example.com")).unwrap();
    assert!(after.email_proven && !after.mailed_passwords.is_empty());
    assert_eq!(after.email.as_deref(), Some("bob@example.com"));
    let revision = accounts.revision();
    set(&mut accounts, "bob", mailed_at("bob@example.com")).unwrap();
    assert_eq!(accounts.revision(), revision);
}

#[test]
fn groups_are_set_added_and_taken_away() {
    let mut accounts = three();
    for (grouping, groups) in [
        (
            Grouping::Add(list(&["staff", "users"])),
            &["users", "staff"][..],
        ),
        (
            Grouping::Remove(list(&["users", "Staff", "no"])),
            &["staff"],
        ),
        (Grouping::All(list(&["b", "a"])), &["b", "a"]),
        (Grouping::All(Vec::new()), &[]),
    ] {
        let after = set(&mut accounts, "bob", grouped(grouping)).unwrap();
        assert_eq!(after.groups, groups);
    }
    let many: Vec<String> = (0..groups::MAX).map(|n| format!("g{n}")).collect();
    set(&mut accounts, "bob", grouped(Grouping::All(many))).unwrap();
    let more = set(
        &mut accounts,
        "bob",
        grouped(Grouping::Add(list(&["more"]))),
    );
    assert_eq!(more.err(), Some(Unset::ManyGroups));
}

#[test]
fn all_of_it_is_one_change() {
    let mut accounts = three();
    let setting = Setting {
        email: Some("r@example.com".to_owned()),
        name: Some("robert".to_owned()),
        groups: Some(Grouping::Add(list(&["staff"]))),
    };
    let after = set(&mut accounts, "bob", setting).unwrap();
    assert_eq!(after.username, "robert");
    assert_eq!(after.email.as_deref(), Some("r@example.com"));
    assert_eq!(after.groups, ["users", "staff"]);
    assert_eq!(
        accounts.resolve("r@example.com").unwrap().username,
        "robert"
    );
    assert!(accounts.resolve("bob@example.com").is_none());
}
