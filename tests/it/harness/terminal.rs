//! A terminal with somebody at it: what a command shows there, and what is typed.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use crate::harness::PATIENCE;

/// The program, in the words of a shell.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_auth_user");

/// A line of a shell that runs at a terminal. Ends with this.
pub(crate) struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
    /// Up to where it was waited for.
    seen: usize,
}

impl Terminal {
    pub(crate) fn run(dir: &Path, line: &str) -> Self {
        let mut command = Command::new("script");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTH_")) {
            command.env_remove(name);
        }
        let mut script = command
            .args(["-qec", line, "/dev/null"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of util-linux, gives a terminal");
        let keys = script.stdin.take().unwrap();
        let mut out = script.stdout.take().unwrap();
        let (show, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length) = out.read(&mut piece) {
                if length == 0 || show.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            script,
            keys,
            screen,
            shown: String::new(),
            seen: 0,
        }
    }

    /// Waits until this stands on the screen, after whatever was waited for before.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("waited in vain for {text:?}: {:?}", self.shown),
            }
        }
    }

    /// Whether this is on the screen by now.
    pub(crate) fn has(&mut self, text: &str) -> bool {
        for piece in self.screen.try_iter() {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        self.shown.contains(text)
    }

    pub(crate) fn types(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the end: the exit status, and all that was shown.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, String) {
        let begun = Instant::now();
        loop {
            // Some have a lot to do.
            let left = (PATIENCE * 3).saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:?}", self.shown),
            }
        }
        let status = self.script.wait().unwrap().code().unwrap();
        (status, std::mem::take(&mut self.shown))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Its terminal goes with it, and the command gets the signal that says so.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
