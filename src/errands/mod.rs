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

use crate::accounts::Account;
use crate::accounts::access_token::Uses;
use crate::accounts::mailed::LIFETIME;
use crate::accounts::token::{self, Digest};
use crate::clock::{Clock, Moment};
use crate::events::{Event, Events, Kind, Origin};
use crate::mail::{Mail, Notice, Outbox};
use crate::network::Network;
use crate::store::Store;

mod limits;
mod links;
mod news;
mod queue;

use limits::{Counted, Mailing, Shares};
use queue::{EndSignal, Queue};

/// How often accounts that never enrolled are looked for, and the uses of access tokens saved.
const SWEEP: Duration = Duration::from_secs(15);

/// Who asked for a new password.
enum Asker {
    Network(Network),
    /// An administrator, by name; the mail has been counted.
    Administrator(String),
}

impl Asker {
    /// The network that the mail is counted for.
    fn network(&self) -> Option<Network> {
        match self {
            Self::Network(network) => Some(*network),
            Self::Administrator(_) => None,
        }
    }
}

enum Errand {
    /// Somebody asked for a new password for this name.
    NewPassword {
        name: String,
        asker: Asker,
        asked_at: Moment,
        origin: Origin,
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
        /// What has happened once the mail is written.
        event: Option<Box<Event>>,
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
    events: Arc<Events>,
    /// How visitors reach the site, without a final slash; for the links in mails.
    site: String,
}

impl Errands {
    /// Starts the thread, which saves the uses of access tokens too. `site` is how visitors reach
    /// us, without a final slash.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn open(
        (store, token_uses): (Arc<Store>, Arc<Uses>),
        outbox: Arc<Outbox>,
        events: Arc<Events>,
        site: String,
        clock: Arc<Clock>,
    ) -> io::Result<Self> {
        let (watched, telling) = (Arc::clone(&store), Arc::clone(&clock));
        let queue = Arc::new(Queue::default());
        // Registrations are counted by others.
        let shares = Shares::new(store.counts(0));
        let mut runner = Runner {
            store,
            token_uses,
            outbox,
            events: Arc::clone(&events),
            site: site.clone(),
            clock,
            swept: Duration::ZERO,
            shares,
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
                runner.save_token_uses();
            })?;
        let errands = Self {
            queue: Arc::clone(&queue),
            events: Arc::clone(&events),
            site: site.clone(),
        };
        watched.listen(move |told| errands.pass_on(told, telling.now()));
        Ok(Self {
            queue,
            events,
            site,
        })
    }

    /// Has a new password mailed, if there is such a user. `asker` is the network that asked.
    pub fn mail_new_password(&self, name: &str, asker: Network, asked_at: Moment, origin: Origin) {
        self.queue.add(Errand::NewPassword {
            name: name.to_owned(),
            asker: Asker::Network(asker),
            asked_at,
            origin,
        });
    }

    /// As [`Errands::mail_new_password`], for an administrator: the mail has been counted by
    /// [`Account::count_mail_for_owner`] at this very moment.
    pub fn mail_counted_password(&self, name: &str, by: &str, asked_at: Moment, origin: Origin) {
        self.queue.add(Errand::NewPassword {
            name: name.to_owned(),
            asker: Asker::Administrator(by.to_owned()),
            asked_at,
            origin,
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
        self.add_notice(account, notice, at, None);
    }

    /// As [`Errands::notify`]; the mail is an event itself, if it goes out.
    pub fn notify_with(&self, account: &Account, notice: &Notice, at: Moment, event: Event) {
        self.add_notice(account, notice, at, Some(Box::new(event)));
    }

    fn add_notice(
        &self,
        account: &Account,
        notice: &Notice,
        at: Moment,
        event: Option<Box<Event>>,
    ) {
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
            event,
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
            event: None,
        });
    }

    /// Has the errands that wait run, and the thread end; true if it did so within `patience`.
    pub fn close(&self, patience: Duration) -> bool {
        self.queue.close(patience)
    }
}

/// What the thread works with.
struct Runner {
    store: Arc<Store>,
    token_uses: Arc<Uses>,
    outbox: Arc<Outbox>,
    events: Arc<Events>,
    site: String,
    clock: Arc<Clock>,
    /// When accounts that never enrolled were last looked for, by the steady clock.
    swept: Duration,
    /// What was mailed within the hour.
    shares: Shares,
}

impl Runner {
    /// If it is time, removes the accounts that never enrolled and have stayed long enough, and
    /// tokens that expired long ago, and saves when tokens were last used.
    fn sweep(&mut self) {
        let now = self.clock.now();
        if now.steady.saturating_sub(self.swept) < SWEEP {
            return;
        }
        self.swept = now.steady;
        self.save_token_uses();
        let now = now.timestamp();
        // If that panics, or cannot be saved, it is tried again later.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| {
            // The store has logged why, if not.
            let _ = self.store.drop_past_tokens(now);
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

    /// All in one save. What cannot be saved is tried again at the next sweep.
    fn save_token_uses(&self) {
        let uses = self.token_uses.unsaved();
        if uses.is_empty() {
            return;
        }
        let _ = panic::catch_unwind(AssertUnwindSafe(|| {
            if self.store.note_token_uses(uses.clone()).is_ok() {
                self.token_uses.saved(&uses);
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
                origin,
            } => self.new_password(&name, &asker, asked_at, origin),
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
                event,
            } => {
                let written = self.notice(&mail, at, &user, what, counted);
                if let Some(event) = event.filter(|_| written) {
                    self.events.note(*event);
                }
            }
        }));
        if ran.is_err() {
            not_written("-", &"a panic");
        }
    }

    /// True if the mail was written.
    fn notice(
        &mut self,
        mail: &Mail,
        at: Moment,
        user: &str,
        what: &'static str,
        counted: Option<Counted>,
    ) -> bool {
        let mut room = None;
        if let Some(whose) = counted {
            room = match self.shares.room(Mailing::Notice(whose), at.steady) {
                Ok(Some(room)) => Some(room),
                Ok(None) => {
                    tracing::warn!(event = "mail", user, what, result = "too_many");
                    return false;
                }
                Err(_) => {
                    not_written(user, &"what was mailed before cannot be counted");
                    return false;
                }
            };
        }
        let written = self.outbox.post(mail);
        if let Some(room) = room {
            self.shares.settle(&room, written.is_ok());
        }
        if let Err(error) = &written {
            not_written(user, error);
        }
        written.is_ok()
    }

    /// Keeps a new password with the account and mails it, if the account exists and has not had
    /// its share of mails. What cannot be written is neither kept nor counted: the mail is drafted
    /// first, and the password is taken back if the mail cannot be sent.
    fn new_password(&self, name: &str, asker: &Asker, asked_at: Moment, origin: Origin) {
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
        let (now, network) = (asked_at.timestamp(), asker.network());
        if network.is_some_and(|network| !account.may_be_mailed(network, now)) {
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
            account.mail_password(digest, network, now)
        });
        match kept {
            Some(true) => {}
            Some(false) => return log("too_many"),
            None => return log("not_saved"),
        }
        if let Err(error) = self.outbox.send(draft) {
            self.change(account, move |account| {
                account.unmail_password(digest, network, now);
            });
            return not_written(user, &error);
        }
        let event = Event::of(Kind::PasswordMailed).about(account).from(origin);
        self.events.note(match asker {
            Asker::Network(_) => event,
            Asker::Administrator(by) => event.by(by),
        });
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
