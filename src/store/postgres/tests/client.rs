//! How statements are sent on one connection.

use std::time::{Duration, Instant};

use futures_util::future;
use tokio_postgres::types::{ToSql, Type};

use super::Place;
use crate::store::postgres::client::Client;
use crate::store::postgres::connection::Connection;

const PATIENCE: Duration = Duration::from_secs(10);

fn connection(place: &Place) -> Connection {
    let pool = place.opened(&place.url).pool;
    pool.open(Instant::now() + PATIENCE).ok().unwrap()
}

/// How many statements the server has prepared that have this in their text.
async fn prepared(client: &Client, text: &str) -> i64 {
    let count =
        format!("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '{text}%'");
    let rows = client.simple_query(&count).await.unwrap();
    let counts = rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    counts.unwrap().parse().unwrap()
}

async fn twice(client: &Client, number: i32) -> i32 {
    let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&number, Type::INT4)];
    let row = client.query_one("SELECT $1 * 2", &asked).await.unwrap();
    row.get(0)
}

#[test]
fn a_statement_is_prepared_before_the_next_work_and_once() {
    let place = Place::new();
    let mut connection = connection(&place);
    for (number, of_them) in [(1, 0), (2, 1), (3, 1)] {
        let asked = connection.call(PATIENCE, async |client| {
            let answer = twice(client, number).await;
            Ok((answer, prepared(client, "SELECT $1 * 2").await))
        });
        assert_eq!(asked.ok().unwrap(), (number * 2, of_them));
    }
}

#[test]
fn what_is_sent_without_a_wait_is_done_in_its_order_each_time() {
    let place = Place::new();
    let mut connection = connection(&place);
    for round in 1..=3_i64 {
        let id = round.to_be_bytes();
        let done = connection.call(PATIENCE, async |client| {
            let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&id.as_slice(), Type::BYTEA)];
            let begin = client.batch_execute("BEGIN");
            let insert = client.execute("INSERT INTO change (id) VALUES ($1)", &asked);
            let undo = client.batch_execute("ROLLBACK");
            future::try_join3(begin, insert, undo).await?;
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(place.sql("SELECT count(*) FROM change"), "0", "{round}");
    }
}

#[test]
fn a_statement_without_a_plan_may_give_other_columns_each_time() {
    let place = Place::new();
    let mut connection = connection(&place);
    for columns in [1, 2, 3] {
        let list = vec!["1"; columns].join(", ");
        let fetched = connection.call(PATIENCE, async |client| {
            let declare = format!("BEGIN; DECLARE found CURSOR FOR SELECT {list}");
            client.batch_execute(&declare).await?;
            let rows = client.query("FETCH 1 FROM found", &[]).await;
            client.batch_execute("COMMIT").await?;
            rows
        });
        let fetched = fetched.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(fetched[0].len(), columns);
    }
}

#[test]
fn a_statement_that_cannot_be_prepared_is_refused_with_the_reason_each_time() {
    let place = Place::new();
    let mut connection = connection(&place);
    for _ in 0..3 {
        let asked = connection.call(PATIENCE, async |client| {
            client.query("SELECT missing FROM account", &[]).await
        });
        let failure = asked.err().unwrap();
        assert!(failure.to_string().contains("missing"), "{failure}");
        assert!(!connection.is_lost());
    }
}
