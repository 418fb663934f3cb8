//! Whose is what opens an account without its name: passkeys and access tokens. No two accounts
//! have the same.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::Account;
use super::access_token::AccessToken;
use super::passkey::{CredentialId, Passkey};
use super::token::Digest;
use crate::clock::Timestamp;

/// The accounts, as they are called in the set, by their passkeys and access tokens.
#[derive(Clone, Default)]
pub(super) struct Owners {
    passkeys: Index<CredentialId>,
    tokens: Index<Digest>,
}

impl Owners {
    /// The key of the account that has a passkey with this id.
    pub(super) fn of_passkey(&self, id: &CredentialId) -> Option<&str> {
        self.passkeys.owner(id)
    }

    /// The key of the account that has an access token with this hash.
    pub(super) fn of_token(&self, hash: Digest) -> Option<&str> {
        self.tokens.owner(&hash)
    }

    /// Follows a change of the account with this key; `None` where there is no such account.
    pub(super) fn follow(
        &mut self,
        account: &Arc<str>,
        before: Option<&Account>,
        after: Option<&Account>,
    ) {
        let passkeys = |account: Option<&Account>| -> Vec<CredentialId> {
            let all = account.map_or(&[][..], |account| &account.passkeys);
            all.iter()
                .map(|passkey: &Passkey| passkey.id.clone())
                .collect()
        };
        self.passkeys
            .follow(account, &passkeys(before), &passkeys(after));
        let tokens = |account: Option<&Account>| -> Vec<Digest> {
            let all = account.map_or(&[][..], |account| &account.tokens);
            all.iter().map(|token: &AccessToken| token.hash).collect()
        };
        self.tokens.follow(account, &tokens(before), &tokens(after));
    }
}

impl Account {
    /// What logs in or gets into applications without its password, and so outlasts a new one, in
    /// words; `None` if there is nothing.
    pub fn outlasting(&self, now: Timestamp) -> Option<String> {
        let counted = |count: usize, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let passkeys = counted(self.passkeys.len(), "passkey", "passkeys");
        let tokens = self.living_tokens(now).count();
        let tokens = counted(tokens, "access token", "access tokens");
        match (passkeys, tokens) {
            (Some(passkeys), Some(tokens)) => Some(format!("{passkeys} and {tokens}")),
            (passkeys, tokens) => passkeys.or(tokens),
        }
    }
}

/// Accounts by one kind of key. Shared between copies: most changes touch none.
#[derive(Clone)]
struct Index<K> {
    by_key: Arc<HashMap<K, Arc<str>>>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self {
            by_key: Arc::default(),
        }
    }
}

impl<K: Clone + Eq + Hash> Index<K> {
    fn owner(&self, key: &K) -> Option<&str> {
        self.by_key.get(key).map(AsRef::as_ref)
    }

    fn follow(&mut self, account: &Arc<str>, before: &[K], after: &[K]) {
        if before == after {
            return;
        }
        let by_key = Arc::make_mut(&mut self.by_key);
        for key in before {
            if by_key.get(key) == Some(account) {
                by_key.remove(key);
            }
        }
        for key in after {
            let owner = by_key.entry(key.clone());
            owner.or_insert_with(|| Arc::clone(account));
        }
    }
}
