//! Which owners were told of late that there may be two of a passkey.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::accounts::passkey::CredentialId;

/// How often an owner is told of one passkey: whoever has the copy may try it all day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When owners were told, by the steady clock. Only passkeys whose signature holds are here, so
/// strangers cannot fill it; after a restart an owner may be told once more.
#[derive(Default)]
pub(super) struct Copied(Mutex<HashMap<CredentialId, Duration>>);

impl Copied {
    /// Whether the owner of this passkey is to be told now; then they count as told.
    pub(super) fn is_due(&self, id: &CredentialId, now: Duration) -> bool {
        // Each change is one insertion or removal, so a panic elsewhere leaves the table whole.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.saturating_sub(*at) < DAY);
        let is_due = !told.contains_key(id);
        if is_due {
            told.insert(id.clone(), now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_told_once_a_day_of_each_passkey() {
        let copied = Copied::default();
        let [one, other] = [1, 2].map(|id| CredentialId::new(&[id]).unwrap());
        let begin = Duration::from_secs(1_800_000_000);

        assert!(copied.is_due(&one, begin) && copied.is_due(&other, begin));
        let within = begin + DAY - Duration::from_millis(1);
        assert!(!copied.is_due(&one, within));
        assert!(copied.is_due(&one, begin + DAY));
        assert_eq!(copied.0.lock().unwrap().len(), 1, "the other is forgotten");
    }
}
