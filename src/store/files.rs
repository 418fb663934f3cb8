//! The accounts and the sessions in their two files, which one thread looks after.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::accounts::Accounts;
use crate::accounts::session::Sessions;
use crate::accounts::token::{Digest, DigestKey};
use crate::store::asked::Asked;
use crate::store::document::{Document, Published};
use crate::store::draft::Draft;
use crate::store::error::NotSaved;
use crate::store::worker::{Chores, Hear, Message, Worker};

/// Both files, through the thread that looks after them.
pub(super) struct Files {
    accounts: Published<Accounts>,
    sessions: Published<Sessions>,
    queue: Sender<Message>,
    /// Gives once, when the thread ends, whether everything was saved; `None` after that.
    ended: Mutex<Option<Receiver<bool>>>,
    unreadable: Arc<AtomicBool>,
    closed: NotSaved,
    panicked: NotSaved,
}

impl Files {
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(super) fn start(
        accounts: Document<Accounts>,
        sessions: Document<Sessions>,
        chores: Chores,
        hear: Hear,
    ) -> io::Result<Self> {
        let (queue, messages) = mpsc::channel();
        let (end, ended) = mpsc::sync_channel(1);
        let files = Self {
            accounts: accounts.published(),
            sessions: sessions.published(),
            queue,
            ended: Mutex::new(Some(ended)),
            unreadable: accounts.unreadable(),
            closed: NotSaved::new(accounts.path(), &"the store is closed"),
            panicked: NotSaved::new(accounts.path(), &"the change panicked"),
        };
        let worker = Worker::new(accounts, sessions, chores, hear);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                // If nobody is left to hear this, it does not matter.
                let _ = end.send(worker.run(&messages));
            })?;
        Ok(files)
    }

    pub(super) fn accounts(&self) -> Arc<Accounts> {
        self.accounts.get()
    }

    pub(super) fn sessions(&self) -> Arc<Sessions> {
        self.sessions.get()
    }

    /// Whether the accounts cannot be read, and are left to the operator.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Makes a change and waits until it is on disk.
    pub(super) fn update<R: Send + 'static>(
        &self,
        change: impl Fn(&mut Draft) -> R + Send + 'static,
    ) -> Result<R, NotSaved> {
        let answered = self.ask(change, false);
        answered.recv().unwrap_or_else(|_| Err(self.closed.clone()))
    }

    /// Ends the sessions with these ids and waits until that is on disk.
    pub(super) fn end_sessions(&self, ids: Vec<Digest>) -> Result<(), NotSaved> {
        let answered = self.ask(move |draft| draft.end_sessions(&ids), true);
        answered.recv().unwrap_or_else(|_| Err(self.closed.clone()))
    }

    /// The key of the challenges, which is on disk by then.
    pub(super) fn challenge_key(&self) -> Result<Arc<DigestKey>, NotSaved> {
        if let Some(key) = self.sessions().challenge_key() {
            return Ok(Arc::clone(key));
        }
        let fresh = Arc::default();
        let answered = self.ask(move |draft| draft.keep_challenge_key(&fresh), true);
        answered.recv().unwrap_or_else(|_| Err(self.closed.clone()))
    }

    /// Gives where the result will come; nothing comes if the thread has ended.
    fn ask<R: Send + 'static>(
        &self,
        change: impl Fn(&mut Draft) -> R + Send + 'static,
        of_sessions: bool,
    ) -> Receiver<Result<R, NotSaved>> {
        let (asked, answered) = Asked::new(change, of_sessions, self.panicked.clone());
        // If the thread has ended, the missing answer says so.
        let _ = self.queue.send(Message::Change(asked));
        answered
    }

    /// Saves what has been asked for so far, does the chores once more, and ends the thread, within
    /// `patience`. Later changes are refused. False if something could not be saved in time.
    pub(super) fn close(&self, patience: Duration) -> bool {
        // If the thread has ended already, the question below finds that out.
        let _ = self.queue.send(Message::Close);
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Whoever asks again has had the answer already.
        ended.is_none_or(|ended| ended.recv_timeout(patience).unwrap_or(false))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.close(Duration::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;
    use crate::accounts::Account;
    use crate::accounts::password::PasswordHash;
    use crate::accounts::session::Session;
    use crate::clock::{Clock, Timestamp};

    const LONG: Duration = Duration::from_secs(3600);

    struct Place {
        directory: TempDir,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self { directory }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap_or_default()
        }

        /// A lock that another process holds, until it is let go.
        fn held(&self, name: &str) -> fs::File {
            let file = fs::File::options().write(true).open(self.path(name));
            let file = file.unwrap();
            file.lock().unwrap();
            file
        }

        /// The files with `alice` in them, and chores done `every` so often.
        fn files(&self, every: Duration) -> Files {
            let clock = Arc::new(Clock::start());
            let accounts = Document::open(&self.path("users.json"), &clock)
                .ok()
                .unwrap();
            let sessions = Document::open(&self.path("sessions.json"), &clock)
                .ok()
                .unwrap();
            let chores = Chores {
                every,
                prune: Box::new(|_, _| ()),
            };
            let files = Files::start(accounts, sessions, chores, Box::new(|_| ())).unwrap();
            files.update(|draft| draft.add(alice())).unwrap().unwrap();
            files
        }
    }

    fn alice() -> Account {
        let hash = PasswordHash::quick();
        Account::new("alice", "alice@example.com", hash, Timestamp(1000))
    }

    fn session(id: &str) -> Session {
        let address = "127.0.0.1".to_owned();
        let owner = ("alice", alice().basis());
        Session::new(Digest::of(id), owner, address, "curl", Timestamp(1000))
    }

    /// Asks for a change and goes on.
    fn ask<R: Send + 'static>(
        files: &Files,
        change: impl Fn(&mut Draft) -> R + Send + 'static,
    ) -> Receiver<Result<R, NotSaved>> {
        files.ask(change, false)
    }

    /// What a login does: it uses up something of the account, and begins a session.
    fn log_in(id: &'static str) -> impl Fn(&mut Draft) -> Option<()> + Send {
        move |draft| {
            draft.change("alice", |person| {
                person.account_mut().recovery_codes.pop();
                person.end_sessions(&[Digest::of("before")]);
                person.begin_session(session(id));
            })
        }
    }

    #[test]
    fn changes_that_wait_together_share_one_save() {
        let place = Place::new();
        let files = place.files(LONG);
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);

        let first = ask(&files, move |draft| {
            draft.begin(Arc::new(session("first")));
            let _ = released.lock().unwrap().recv();
        });
        let others: Vec<_> = (0..10)
            .map(|n| {
                let path = place.path("sessions.json");
                ask(&files, move |draft| {
                    draft.begin(Arc::new(session(&n.to_string())));
                    fs::metadata(&path).map(|metadata| metadata.ino()).ok()
                })
            })
            .collect();
        drop(release);

        assert!(first.recv().unwrap().is_ok());
        let mut seen: Vec<_> = others
            .into_iter()
            .map(|other| other.recv().unwrap().unwrap())
            .collect();
        seen.dedup();
        // The first may have been taken together with some of the others, before any save.
        assert!(seen.len() <= 2, "{seen:?}");
        assert_eq!(files.sessions().len(), 11);
    }

    #[test]
    fn when_a_session_was_last_used_is_saved_from_time_to_time() {
        let place = Place::new();
        let files = place.files(Duration::ZERO);
        let begin = |draft: &mut Draft| draft.begin(Arc::new(session("cookie")));
        files.update(begin).unwrap();

        let sessions = files.sessions();
        sessions
            .find(Digest::of("cookie"))
            .unwrap()
            .seen(Timestamp(2000));

        let end = Instant::now() + Duration::from_secs(20);
        while !place.text("sessions.json").contains("1970-01-01T00:33:20Z") {
            assert!(Instant::now() < end, "it was never saved");
            thread::yield_now();
        }
    }

    #[test]
    fn the_end_waits_for_another_process_to_save_when_sessions_were_last_used() {
        let place = Place::new();
        let files = place.files(LONG);
        let begin = |draft: &mut Draft| draft.begin(Arc::new(session("cookie")));
        files.update(begin).unwrap();
        let sessions = files.sessions();
        let session = sessions.find(Digest::of("cookie")).unwrap();
        session.seen(Timestamp(2000));
        let lock = place.held("sessions.json.lock");

        thread::scope(|scope| {
            let closing = scope.spawn(|| files.close(Duration::from_secs(20)));
            // Much longer than one turn.
            thread::sleep(Duration::from_millis(300));
            lock.unlock().unwrap();
            assert!(closing.join().unwrap());
        });

        assert!(place.text("sessions.json").contains("1970-01-01T00:33:20Z"));
    }

    #[test]
    fn a_change_of_the_sessions_alone_leaves_the_accounts_in_peace() {
        let place = Place::new();
        let files = place.files(LONG);
        let before = fs::metadata(place.path("users.json")).unwrap().ino();
        files
            .update(|draft| draft.begin(Arc::new(session("one"))))
            .unwrap();
        fs::write(place.path("users.json"), "{").unwrap();

        files
            .update(|draft| draft.end_sessions(&[Digest::of("one")]))
            .unwrap();

        assert!(files.sessions().is_empty());
        assert_eq!(
            fs::metadata(place.path("users.json")).unwrap().ino(),
            before
        );
    }

    #[test]
    fn sessions_end_while_changes_of_accounts_wait_for_another_process() {
        let place = Place::new();
        let files = place.files(LONG);
        files
            .update(|draft| draft.begin(Arc::new(session("one"))))
            .unwrap();
        let lock = place.held("users.json.lock");

        let waits = ask(&files, |draft| {
            let sessions = draft.sessions.len();
            draft.change("alice", |person| person.account_mut().disabled = true);
            sessions
        });
        files.end_sessions(vec![Digest::of("one")]).unwrap();
        assert!(waits.try_recv().is_err());
        lock.unlock().unwrap();

        let seen = waits.recv().unwrap().unwrap();
        assert_eq!(seen, 0, "it is made on what is true when its turn comes");
        assert!(files.accounts().find("alice").unwrap().disabled);
    }

    #[test]
    fn nothing_is_spent_on_a_session_that_cannot_be_saved() {
        let place = Place::new();
        let files = place.files(LONG);
        // A draft that cannot be removed stands for any failure of a disk.
        fs::create_dir_all(place.path("sessions.json.new/in_use")).unwrap();
        let before = place.text("users.json");

        assert!(files.update(log_in("one")).is_err());

        assert_eq!(place.text("users.json"), before);
        fs::remove_dir_all(place.path("sessions.json.new")).unwrap();
        assert!(files.update(log_in("two")).is_ok());
        assert_eq!(files.sessions().len(), 1);
    }

    #[test]
    fn a_session_whose_account_cannot_be_saved_is_taken_away_and_no_other_ends_for_it() {
        let place = Place::new();
        let files = place.files(LONG);
        files
            .update(|draft| draft.begin(Arc::new(session("before"))))
            .unwrap();
        fs::create_dir_all(place.path("users.json.new/in_use")).unwrap();

        assert!(files.update(log_in("one")).is_err());

        let kept = |id| files.sessions().find(Digest::of(id)).is_some();
        assert!(kept("before") && !kept("one"));
        assert_eq!(place.text("sessions.json").matches("\"id\"").count(), 1);
        fs::remove_dir_all(place.path("users.json.new")).unwrap();
        files.update(log_in("two")).unwrap();
        assert!(!kept("before") && kept("two"));
    }

    #[test]
    fn of_a_batch_only_what_cannot_be_saved_is_refused() {
        let place = Place::new();
        let files = place.files(LONG);
        files
            .update(|draft| draft.begin(Arc::new(session("one"))))
            .unwrap();
        fs::create_dir_all(place.path("users.json.new/in_use")).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let released = Mutex::new(released);

        let waits = ask(&files, move |_| released.lock().unwrap().recv().is_ok());
        let refused = ask(&files, |draft| {
            draft.change("alice", |person| person.account_mut().disabled = true)
        });
        let sees = ask(&files, |draft| {
            draft.accounts.find("alice").unwrap().disabled
        });
        let ends = ask(&files, |draft| draft.end_sessions(&[Digest::of("one")]));
        drop(release);

        waits.recv().unwrap().unwrap();
        assert!(refused.recv().unwrap().is_err());
        assert!(
            !sees.recv().unwrap().unwrap(),
            "what another change did is not there"
        );
        ends.recv().unwrap().unwrap();
        assert!(files.sessions().is_empty());
    }
}
