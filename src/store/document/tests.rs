use std::fs::{self, File};
use std::sync::Mutex;

use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// A document of one line; damaged if it starts with `{`.
#[derive(Clone, Default, PartialEq, Debug)]
struct Line(String);

impl Content for Line {
    type Format = ();

    type Edited = ();

    const NAME: &'static str = "line";

    const REPLACED_WHEN_DAMAGED: bool = false;

    fn parse(bytes: &[u8]) -> Result<(Self, ()), Damage> {
        let line = String::from_utf8_lossy(bytes).into_owned();
        if line.starts_with('{') {
            return Err(Damage::new(format!("damage of {} bytes", bytes.len())));
        }
        Ok((Self(line), ()))
    }

    fn write(&self, (): &mut (), out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.0.as_bytes())
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self, with: &str) -> usize {
        let text = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&text);
        text.lines().filter(|line| line.contains(with)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn logged(act: impl FnOnce(&Log)) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || act(&log));
}

fn opened(text: &str) -> (TempDir, Document<Line>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("line");
    fs::write(&path, text).unwrap();
    let mut document = Document::open(&path, &Arc::new(Clock::start()))
        .ok()
        .unwrap();
    document.patience = Duration::ZERO;
    (directory, document)
}

fn save(document: &mut Document<Line>, text: &str) -> Result<(), NotSaved> {
    let lock = document.begin(LOCK_PATIENCE)?.unwrap();
    document.save(Line(text.to_owned()), &lock)
}

#[test]
fn each_damage_is_logged_once_and_so_is_its_end() {
    logged(|log| {
        let (_directory, mut document) = opened("good");
        for (text, errors) in [("{", 1), ("{{", 2)] {
            fs::write(document.path(), text).unwrap();
            for _ in 0..5 {
                document.look();
                assert!(save(&mut document, "change").is_err());
            }
            assert_eq!(log.lines("ERROR"), errors);
        }
        assert_eq!(log.lines("damage of 2 bytes"), 1);
        assert_eq!(document.published.get().0, "good");

        fs::write(document.path(), "better").unwrap();
        for _ in 0..5 {
            document.look();
        }

        assert_eq!(log.lines("the line is good again"), 1);
        assert_eq!(document.published.get().0, "better");
    });
}

#[test]
fn a_file_that_is_being_written_raises_no_alarm() {
    logged(|log| {
        let (_directory, mut document) = opened("good");
        document.patience = Duration::MAX;
        fs::write(document.path(), "{").unwrap();
        for _ in 0..5 {
            document.look();
        }
        fs::write(document.path(), "better").unwrap();
        document.look();

        assert_eq!(log.lines("ERROR"), 0);
        assert_eq!(log.lines("good again"), 0);
        assert_eq!(document.published.get().0, "better");
    });
}

#[test]
fn a_lost_file_is_logged_once() {
    logged(|log| {
        let (_directory, mut document) = opened("good");
        fs::remove_file(document.path()).unwrap();
        for _ in 0..5 {
            document.look();
        }

        assert_eq!(log.lines("ERROR"), 1);
        assert_eq!(log.lines("is gone"), 1);
        assert_eq!(document.published.get().0, "good");
    });
}

#[test]
fn a_save_that_keeps_failing_is_logged_once_and_so_is_its_end() {
    logged(|log| {
        let (_directory, mut document) = opened("good");
        document.file.sync = |_| Err(io::Error::other("bad sector"));
        for _ in 0..5 {
            assert!(save(&mut document, "change").is_err());
        }
        assert_eq!(log.lines("bad sector"), 1);
        assert_eq!(document.published.get().0, "good");

        document.file.sync = File::sync_all;
        for _ in 0..5 {
            assert!(save(&mut document, "change").is_ok());
        }

        assert_eq!(log.lines("can be saved again"), 1);
    });
}

#[test]
fn after_a_failure_past_the_rename_memory_agrees_with_the_disk() {
    let (_directory, mut document) = opened("good");
    document.file.sync = |file| match file.metadata()?.is_dir() {
        true => Err(io::Error::other("bad sector")),
        false => Ok(()),
    };

    assert!(save(&mut document, "change").is_err());

    assert_eq!(document.published.get().0, "change");
    assert_eq!(fs::read_to_string(document.path()).unwrap(), "change");
}
