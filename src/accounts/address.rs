//! Another address for an account: the rule, whoever changes it.

use std::sync::Arc;

use crate::accounts::confirmations::Links;
use crate::accounts::{Account, Accounts, Taken, names};

impl Accounts {
    /// Gives an account another address, which whoever calls this has found to be its owner's. What
    /// was mailed to the old one ends: passwords, the logins begun with them, links.
    ///
    /// # Errors
    ///
    /// If the address belongs to another account; then nothing is changed.
    pub fn change_email(&mut self, account: &Account, email: &str) -> Result<(), Taken> {
        let name = names::key(&account.username);
        let Some((name, place)) = self
            .by_name
            .get_full(name.as_ref())
            .map(|found| (found.1, found.2))
        else {
            return Ok(());
        };
        let owner = self.by_email.get(names::key(email).as_ref());
        if owner.is_some_and(|owner| owner != name) {
            return Err(Taken::Email);
        }
        let (name, before) = (Arc::clone(name), Arc::clone(place));
        let mut changed = Account::clone(&before);
        changed.email = Some(email.to_owned());
        changed.email_proven = true;
        changed.mailed_passwords.clear();

        let by_email = Arc::make_mut(&mut self.by_email);
        if let Some(old) = &before.email {
            by_email.remove(names::key(old).as_ref());
        }
        by_email.insert(names::key(email).into(), Arc::clone(&name));
        self.replace(Arc::new(changed));
        self.end_links(&before, Links::All);
        Ok(())
    }
}
