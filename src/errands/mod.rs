//! What is done apart from the answers: new passwords and notices go to the outbox, and accounts
//! that never enrolled are removed in time.
//!
//! Whether a user exists, and what the disk and the mail server do, must show neither in an answer
//! nor in the time it takes; so another thread does the work.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::accounts::mailed::LIFETIME;
use crate::accounts::token::{self, Digest};
use crate::accounts::{Account, Accounts};
use crate::clock::{Clock, Moment};
use crate::mail::{Edit, Mail, Notice, Outbox};
use crate::network::Network;
use crate::store::{Store, Told};

mod limits;
mod links;
mod queue;

use limits::{Counted, Limits, Unproven};
use queue::{EndSignal, Queue};

/// How often accounts that never enrolled are looked for.
const SWEEP: Duration = Duration::from_secs(15);

enum Errand {
    /// Somebody asked for a new password for this name; without `asker`, an administrator, and the
    /// mail has been counted.
    NewPassword {
        name: String,
        asker: Option<Network>,
        asked_at: Moment,
    },
    /// The address of this account is to be proven.
    Confirmation {
        username: String,
        asker: Network,
        asked_at: Moment,
    },
    /// Somebody asked for another address for this account.
    Change {
        account: Arc<Account>,
        email: String,
        asker: Network,
        asked_at: Moment,
    },
    Notice {
        mail: Mail,
        at: Moment,
        user: String,
        what: &'static str,
        /// `None` if it counts for no limit.
        counted: Option<Counted>,
    },
}

impl Errand {
    fn is_notice(&self) -> bool {
        !matches!(self, Self::NewPassword { .. })
    }
}

/// The thread that runs errands.
pub struct Errands {
    queue: Arc<Queue>,
    /// How visitors reach the site, without a final slash; for the links in mails.
    site: String,
}

impl Errands {
    /// Starts the thread. `site` is how visitors reach us, without a final slash.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(
        store: Arc<Store>,
        outbox: Arc<Outbox>,
        site: String,
        clock: Arc<Clock>,
    ) -> io::Result<Self> {
        let (watched, telling) = (Arc::clone(&store), Arc::clone(&clock));
        let queue = Arc::new(Queue::default());
        let mut runner = Runner {
            store,
            outbox,
            site: site.clone(),
            clock,
            swept: Duration::ZERO,
            limits: Limits::default(),
            unproven: Unproven::default(),
        };
        let ended = EndSignal(Arc::clone(&queue));
        thread::Builder::new()
            .name("errands".to_owned())
            .spawn(move || {
                loop {
                    runner.sweep();
                    match ended.0.next(SWEEP) {
                        Some(errand) => runner.run(errand),
                        None if ended.0.is_over() => break,
                        None => {}
                    }
                }
            })?;
        let errands = Self {
            queue: Arc::clone(&queue),
            site: site.clone(),
        };
        watched.listen(move |told| errands.pass_on(told, telling.now()));
        Ok(Self { queue, site })
    }

    /// Mails people what the store has to tell about the accounts.
    fn pass_on(&self, told: Told, at: Moment) {
        let edited = match told {
            Told::Edited(edited) => edited,
            Told::Unreadable {
                accounts,
                file,
                reason,
            } => return self.accounts_unreadable(&accounts, &file, &reason, at),
        };
        let account = &edited.account;
        if edited.totp {
            let edit = match account.totp {
                Some(_) => Edit::AuthenticatorChanged,
                None => Edit::AuthenticatorRemoved,
            };
            self.notify(account, &Notice::Edited(edit), at);
        }
        if edited.password {
            self.notify(account, &Notice::Edited(Edit::Password), at);
        }
        if let Some(email) = edited.email_before {
            let before = Account {
                email: Some(email),
                ..Account::clone(account)
            };
            let notice = Notice::Edited(Edit::Email(account.email.clone()));
            self.notify(&before, &notice, at);
        }
    }

    /// Has a new password mailed, if there is such a user. `asker` is the network that asked.
    pub fn mail_new_password(&self, name: &str, asker: Network, asked_at: Moment) {
        self.queue.add(Errand::NewPassword {
            name: name.to_owned(),
            asker: Some(asker),
            asked_at,
        });
    }

    /// As [`Errands::mail_new_password`], for an administrator: the mail has been counted by
    /// [`Account::count_mail_for_owner`] at this very moment.
    pub fn mail_counted_password(&self, name: &str, asked_at: Moment) {
        self.queue.add(Errand::NewPassword {
            name: name.to_owned(),
            asker: None,
            asked_at,
        });
    }

    /// Has a link mailed by which the owner of this account proves its address, if it is not proven
    /// yet. `asker` is the network that asked.
    pub fn mail_confirmation(&self, username: &str, asker: Network, asked_at: Moment) {
        self.queue.add(Errand::Confirmation {
            username: username.to_owned(),
            asker,
            asked_at,
        });
    }

    /// Has a link mailed to `email` by which it becomes the address of this account; if it is
    /// another's, its owner is told instead, and if it is the account's own, it can be proven.
    /// `asker` is the network that asked.
    pub fn mail_change(
        &self,
        account: &Arc<Account>,
        email: String,
        asker: Network,
        asked_at: Moment,
    ) {
        self.queue.add(Errand::Change {
            account: Arc::clone(account),
            email,
            asker,
            asked_at,
        });
    }

    /// Tells the owner of an account what happened to it. A notice that would be too many for the
    /// account or its address is logged and not sent; one that cannot be written undoes nothing.
    pub fn notify(&self, account: &Account, notice: &Notice, at: Moment) {
        let (user, what) = (account.username.clone(), notice.name());
        let mail = notice.mail(account, at, &self.site);
        let (Some(mail), Some(email)) = (mail, &account.email) else {
            tracing::info!(event = "mail", user, what, result = NO_ADDRESS);
            return;
        };
        let counted = notice.is_counted().then(|| Counted::new(&user, email));
        self.queue.add(Errand::Notice {
            mail,
            at,
            user,
            what,
            counted,
        });
    }

    /// Has an invitation mailed. It counts for no limit: only those who answer for the site make
    /// them.
    pub fn mail_invitation(&self, mail: Mail, at: Moment) {
        self.queue.add(Errand::Notice {
            mail,
            at,
            user: "-".to_owned(),
            what: "invitation",
            counted: None,
        });
    }

    /// Tells the administrators that `file` cannot be read. To be called once, when that begins.
    ///
    /// `accounts` are those of its last good state, and `reason` quotes nothing from it.
    pub fn accounts_unreadable(&self, accounts: &Accounts, file: &str, reason: &str, at: Moment) {
        let administrators = accounts.iter();
        let administrators = administrators.filter(|account| account.is_administrator());
        for account in administrators {
            let Some(mail) = Mail::accounts_unreadable(account, file, reason, at) else {
                continue;
            };
            self.queue.add(Errand::Notice {
                mail,
                at,
                user: account.username.clone(),
                what: "accounts_unreadable",
                counted: None,
            });
        }
    }

    /// Has the errands that wait run, and the thread end; true if it did so within `patience`.
    pub fn close(&self, patience: Duration) -> bool {
        self.queue.close(patience)
    }
}

/// What the thread works with.
struct Runner {
    store: Arc<Store>,
    outbox: Arc<Outbox>,
    site: String,
    clock: Arc<Clock>,
    /// When accounts that never enrolled were last looked for, by the steady clock.
    swept: Duration,
    limits: Limits,
    /// What was mailed to addresses that nobody has proven.
    unproven: Unproven,
}

impl Runner {
    /// Removes the accounts that never enrolled and have stayed long enough, if it is time.
    fn sweep(&mut self) {
        let now = self.clock.now();
        if now.steady.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now.steady;
        let now = now.timestamp();
        // If that panics, or cannot be saved, it is tried again later.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| {
            loop {
                let removed = self.store.remove_unclaimed(now).unwrap_or_default();
                if removed.is_empty() {
                    break;
                }
                for user in removed {
                    tracing::info!(event = "account_removed", user, result = "never_enrolled");
                }
            }
        }));
    }

    fn run(&mut self, errand: Errand) {
        // The thread must be there for the next errand: even closing a directory can panic, in std.
        let ran = panic::catch_unwind(AssertUnwindSafe(|| match errand {
            Errand::NewPassword {
                name,
                asker,
                asked_at,
            } => self.new_password(&name, asker, asked_at),
            Errand::Confirmation {
                username,
                asker,
                asked_at,
            } => self.confirmation(&username, asker, asked_at),
            Errand::Change {
                account,
                email,
                asker,
                asked_at,
            } => self.change_of_address(&account, &email, asker, asked_at),
            Errand::Notice {
                mail,
                at,
                user,
                what,
                counted,
            } => self.notice(&mail, at, &user, what, counted),
        }));
        if ran.is_err() {
            not_written("-", &"a panic");
        }
    }

    fn notice(
        &mut self,
        mail: &Mail,
        at: Moment,
        user: &str,
        what: &'static str,
        counted: Option<Counted>,
    ) {
        if counted.is_some_and(|whose| !self.limits.has_room(whose, at.steady)) {
            tracing::warn!(event = "mail", user, what, result = "too_many");
            return;
        }
        match self.outbox.post(mail) {
            Ok(_) => {
                if let Some(whose) = counted {
                    self.limits.add(whose, at.steady);
                }
            }
            Err(error) => not_written(user, &error),
        }
    }

    /// Keeps a new password with the account and mails it, if the account exists and has not had
    /// its share of mails. What cannot be written is neither kept nor counted: the mail is drafted
    /// first, and the password is taken back if the mail cannot be sent.
    fn new_password(&self, name: &str, asker: Option<Network>, asked_at: Moment) {
        let Ok(found) = self.store.account(name) else {
            return not_written("-", &"the accounts cannot be read");
        };
        // Never what was typed: it may be a password.
        let user = found.as_ref().map_or("-", |account| &account.username);
        let log = |result| tracing::info!(event = "new_password", user, result);
        let Some(account) = found.as_ref() else {
            return log("unknown_user");
        };
        if account.disabled {
            return log("disabled");
        }
        let now = asked_at.timestamp();
        if asker.is_some_and(|asker| !account.may_be_mailed(asker, now)) {
            return log("too_many");
        }

        let password = token::mailed_password();
        let minutes = LIFETIME.as_secs() / 60;
        let Some(mail) = Mail::new_password(account, &password, asked_at, minutes, &self.site)
        else {
            return log(NO_ADDRESS);
        };
        let draft = match self.outbox.draft(&mail) {
            Ok(draft) => draft,
            Err(error) => return not_written(user, &error),
        };
        let digest = Digest::of(&password);
        let kept = self.change(account, move |account| {
            account.mail_password(digest, asker, now)
        });
        match kept {
            Some(true) => {}
            Some(false) => return log("too_many"),
            None => return log("not_saved"),
        }
        if let Err(error) = self.outbox.send(draft) {
            self.change(account, move |account| {
                account.unmail_password(digest, asker, now);
            });
            return not_written(user, &error);
        }
        log("written");
    }

    /// Changes an account that is still there, is enabled, and has the address that the mail goes
    /// to; `None` otherwise, or if the change could not be saved.
    fn change<T: Send + 'static>(
        &self,
        account: &Account,
        change: impl Fn(&mut Account) -> T + Send + 'static,
    ) -> Option<T> {
        let email = account.email.clone();
        let changed = self.store.change(&account.username, move |person| {
            let account = person.account();
            if account.disabled || account.email != email {
                return None;
            }
            Some(change(person.account_mut()))
        });
        changed.ok().flatten().flatten()
    }
}

/// What the log says of an account that no mail can be sent to.
const NO_ADDRESS: &str = "no_address";

fn not_written(user: &str, cause: &dyn std::fmt::Display) {
    tracing::error!(event = "mail", user, result = "not_written", %cause);
}
