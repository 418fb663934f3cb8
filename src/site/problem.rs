//! Why the program cannot start. The operator reads all of it, so it may say everything.

use std::fmt::Display;
use std::io;

use crate::front::StartError;
use crate::log;
use crate::mail::StartupProblem;
use crate::store::OpenError;

/// Why the program cannot start, and what to do about it.
#[derive(Debug)]
pub struct Problem {
    what: String,
    hint: String,
}

impl Problem {
    pub fn new(what: impl Display, hint: impl Display) -> Self {
        Self {
            what: what.to_string(),
            hint: hint.to_string(),
        }
    }

    pub fn no_threads(error: io::Error) -> Self {
        StartError::no_threads(error).into()
    }

    /// What is wrong, and what to do.
    pub fn said(self) -> (String, String) {
        (self.what, self.hint)
    }

    /// Tells the operator.
    pub fn complain(&self) {
        log::complain(&self.what, Some(&self.hint));
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        Self::new(&error, &error.hint)
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        Self::new(&error, error.hint())
    }
}

impl From<StartupProblem> for Problem {
    fn from(error: StartupProblem) -> Self {
        Self::new(&error, error.hint())
    }
}
