//! What one connection is asked by. A statement is sent with its text when it comes for the first
//! time, and prepared before the next work: from then on the server neither reads nor plans it again,
//! which is most of what a look at one row costs there.
//!
//! Nothing is prepared while work goes on. That would take an answer to wait for, and statements
//! that are sent one after the other without a wait between would change places.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, SimpleQueryMessage, Statement};

/// Most statements that are kept of a connection; there are fewer, and each costs the server memory.
const MOST: usize = 100;

/// A value with its type, as a parameter.
type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// The client of a connection.
///
/// What waits for an answer is boxed: a change has many such waits at the same time, and the threads
/// that serve visitors have small stacks.
///
/// No `Debug`: statements say what is kept.
pub(super) struct Client {
    inner: tokio_postgres::Client,
    /// By their texts.
    statements: RefCell<HashMap<String, Known>>,
    /// When the server last answered, or work with it began.
    heard: Cell<Instant>,
}

/// What has become of a statement.
enum Known {
    /// It is to be prepared, with parameters of these types.
    Due(Vec<Type>),
    Prepared(Statement),
    /// The server would not prepare it; it is sent with its text, and refused with the reason.
    Never,
}

impl Client {
    pub(super) fn of(inner: tokio_postgres::Client) -> Self {
        Self {
            inner,
            statements: RefCell::default(),
            heard: Cell::new(Instant::now()),
        }
    }

    /// How long the server has been silent in this work.
    pub(super) fn silence(&self) -> Duration {
        self.heard.get().elapsed()
    }

    /// Notes that the server has just answered, or is just about to be asked.
    pub(super) fn hear(&self) {
        self.heard.set(Instant::now());
    }

    /// Waits for an answer.
    fn answer<'a, R>(
        &'a self,
        asked: impl Future<Output = Result<R, Error>> + 'a,
    ) -> Pin<Box<impl Future<Output = Result<R, Error>> + 'a>> {
        Box::pin(async move {
            let answer = asked.await;
            self.hear();
            answer
        })
    }

    /// Prepares what has come since this was last done, all of it at once.
    ///
    /// # Errors
    ///
    /// If the connection has ended.
    pub(super) async fn prepare_due(&self) -> Result<(), Error> {
        let due: Vec<(String, Vec<Type>)> = {
            let statements = self.statements.borrow();
            let due = statements.iter().filter_map(|(text, known)| match known {
                Known::Due(types) => Some((text.clone(), types.clone())),
                Known::Prepared(_) | Known::Never => None,
            });
            due.collect()
        };
        let prepare = |(text, types)| async move {
            let prepared = self.answer(self.inner.prepare_typed(text, types)).await;
            (text, prepared)
        };
        let all = due
            .iter()
            .map(|(text, types)| (text.as_str(), types.as_slice()));
        for (text, prepared) in future::join_all(all.map(prepare)).await {
            let known = match prepared {
                Ok(statement) => Known::Prepared(statement),
                Err(error) if error.as_db_error().is_some() => Known::Never,
                Err(error) => return Err(error),
            };
            self.statements.borrow_mut().insert(text.to_owned(), known);
        }
        Ok(())
    }

    /// A statement that is prepared for these parameters. One that comes for the first time will be.
    fn prepared(&self, text: &str, parameters: &[Typed<'_>]) -> Option<Statement> {
        let types = || parameters.iter().map(|(_, r#type)| r#type);
        let mut statements = self.statements.borrow_mut();
        match statements.get(text) {
            Some(Known::Prepared(statement)) if statement.params().iter().eq(types()) => {
                Some(statement.clone())
            }
            Some(_) => None,
            None => {
                if is_planned(text) && statements.len() < MOST {
                    statements.insert(text.to_owned(), Known::Due(types().cloned().collect()));
                }
                None
            }
        }
    }

    pub(super) async fn query(
        &self,
        text: &str,
        parameters: &[Typed<'_>],
    ) -> Result<Vec<Row>, Error> {
        match self.prepared(text, parameters) {
            Some(known) => {
                let values = values(parameters);
                self.answer(self.inner.query(&known, &values)).await
            }
            None => self.answer(self.inner.query_typed(text, parameters)).await,
        }
    }

    /// The first row.
    pub(super) async fn query_opt(
        &self,
        text: &str,
        parameters: &[Typed<'_>],
    ) -> Result<Option<Row>, Error> {
        let rows = self.query(text, parameters).await?;
        Ok(rows.into_iter().next())
    }

    /// The one row that there is.
    pub(super) async fn query_one(
        &self,
        text: &str,
        parameters: &[Typed<'_>],
    ) -> Result<Row, Error> {
        match self.prepared(text, parameters) {
            Some(known) => {
                let values = values(parameters);
                self.answer(self.inner.query_one(&known, &values)).await
            }
            None => {
                self.answer(self.inner.query_typed_one(text, parameters))
                    .await
            }
        }
    }

    /// Gives how many rows are another.
    pub(super) async fn execute(&self, text: &str, parameters: &[Typed<'_>]) -> Result<u64, Error> {
        match self.prepared(text, parameters) {
            Some(known) => {
                let values = values(parameters);
                self.answer(self.inner.execute(&known, &values)).await
            }
            None => {
                self.answer(self.inner.execute_typed(text, parameters))
                    .await
            }
        }
    }

    /// Statements that give nothing back, without parameters.
    pub(super) async fn batch_execute(&self, text: &str) -> Result<(), Error> {
        self.answer(self.inner.batch_execute(text)).await
    }

    /// Has something done in a transaction, which is rolled back if that fails.
    ///
    /// # Errors
    ///
    /// What the work gives, or that it could not be committed.
    pub(super) async fn in_transaction<R>(
        &self,
        begin: &str,
        work: impl AsyncFnOnce(&Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.batch_execute(begin).await?;
        let done = work(self).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.batch_execute(end).await;
        let done = done?;
        ended.map(|()| done)
    }

    pub(super) async fn simple_query(&self, text: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.answer(self.inner.simple_query(text)).await
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

/// Whether the server has a plan for it. What another statement gives may have other columns the next
/// time, as FETCH has.
fn is_planned(text: &str) -> bool {
    let planned = ["SELECT", "INSERT", "UPDATE", "DELETE"];
    planned
        .iter()
        .any(|word| text.trim_start().starts_with(word))
}

fn values<'a>(parameters: &[Typed<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|(value, _)| *value).collect()
}
