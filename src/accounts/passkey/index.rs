//! Who has which passkey.

use std::collections::HashMap;
use std::sync::Arc;

use super::kept::{CredentialId, Passkey};

/// The accounts by the ids of their passkeys. Shared between copies: most changes touch none.
#[derive(Clone, Default)]
pub(in crate::accounts) struct Index {
    by_id: Arc<HashMap<CredentialId, Arc<str>>>,
}

impl Index {
    /// The key of the account that has this passkey.
    pub(super) fn owner(&self, id: &CredentialId) -> Option<&str> {
        self.by_id.get(id).map(AsRef::as_ref)
    }

    /// Follows a change of an account's passkeys.
    pub(in crate::accounts) fn follow(
        &mut self,
        account: &Arc<str>,
        before: &[Passkey],
        after: &[Passkey],
    ) {
        let is_same = |(one, other): (&Passkey, &Passkey)| one.id == other.id;
        if before.len() == after.len() && before.iter().zip(after).all(is_same) {
            return;
        }
        let by_id = Arc::make_mut(&mut self.by_id);
        for passkey in before {
            if by_id.get(&passkey.id) == Some(account) {
                by_id.remove(&passkey.id);
            }
        }
        for passkey in after {
            let owner = by_id.entry(passkey.id.clone());
            owner.or_insert_with(|| Arc::clone(account));
        }
    }
}
