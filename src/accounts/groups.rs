//! Groups as people name them: which can be given, and how a list of them is read.

use std::fmt;

/// Most groups of an account.
pub const MAX: usize = 50;

/// Longest name of a group, in characters.
const MAX_LENGTH: usize = 64;

/// The group that every account is in which somebody makes.
pub const EVERYBODY: &str = "users";

/// The group of those who answer for all accounts.
pub const ADMINISTRATORS: &str = "admins";

/// Why a list of groups cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// A name that no group has.
    Name,
    /// More than [`MAX`] of them.
    Many,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a group is 1 to 64 ASCII letters, digits and . _ -"),
            Self::Many => write!(f, "an account has at most {MAX} groups"),
        }
    }
}

/// The groups in a list, with commas, blanks or both between them; one that is there twice counts
/// once. What stands in `users.json` by hand is not judged by this.
///
/// # Errors
///
/// If one of them cannot be a group, or there are too many.
pub fn parse(list: &str) -> Result<Vec<String>, Odd> {
    let between = |c: char| c == ',' || c.is_whitespace();
    let names = list.split(between).filter(|name| !name.is_empty());
    gathered(Vec::new(), names)
}

/// The groups of an account that is about to be made, each by its whole name; it is in
/// [`EVERYBODY`] as well.
///
/// # Errors
///
/// As [`parse`].
pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Odd> {
    gathered(vec![EVERYBODY.to_owned()], names)
}

/// As [`parse`], for an account that is about to be made, which is in [`EVERYBODY`] as well.
///
/// # Errors
///
/// As [`parse`].
pub fn of_new_account(list: &str) -> Result<Vec<String>, Odd> {
    of_names(parse(list)?.iter().map(String::as_str))
}

fn gathered<'a>(
    mut groups: Vec<String>,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>, Odd> {
    for name in names {
        if !is_group(name) {
            return Err(Odd::Name);
        }
        add(&mut groups, name);
    }
    if groups.len() > MAX {
        return Err(Odd::Many);
    }
    Ok(groups)
}

fn add(groups: &mut Vec<String>, name: &str) {
    if !groups.iter().any(|group| group == name) {
        groups.push(name.to_owned());
    }
}

fn is_group(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_LENGTH).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::{MAX, Odd, of_new_account, parse};

    #[test]
    fn commas_and_blanks_stand_between_groups_and_twice_is_once() {
        for (list, groups) in [
            ("", &[][..]),
            (" , ", &[]),
            ("admins", &["admins"]),
            ("a,b", &["a", "b"]),
            (" a , b  c,a,", &["a", "b", "c"]),
            ("A,a", &["A", "a"]),
            ("x.y_z-9", &["x.y_z-9"]),
        ] {
            assert_eq!(parse(list).unwrap(), groups, "{list:?}");
        }
    }

    #[test]
    fn odd_names_and_long_lists_are_refused() {
        for list in ["a;b", "a,\u{fc}", "a/b", "a:b", "a+b", &"a".repeat(65)] {
            assert_eq!(parse(list), Err(Odd::Name), "{list:?}");
        }
        assert!(parse(&"a".repeat(64)).is_ok());
        let list = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("g{n}")).collect();
            names.join(",")
        };
        assert_eq!(parse(&list(MAX)).map(|groups| groups.len()), Ok(MAX));
        assert_eq!(parse(&list(MAX + 1)), Err(Odd::Many));
        assert_eq!(of_new_account(&list(MAX)), Err(Odd::Many));
    }

    #[test]
    fn a_new_account_is_in_users_once() {
        assert_eq!(of_new_account("").unwrap(), ["users"]);
        assert_eq!(of_new_account("admins,users").unwrap(), ["users", "admins"]);
    }
}
