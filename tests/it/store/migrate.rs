//! `auth_user store migrate`: the tables of a database.

use std::thread;

use serde_json::Value;

use crate::cluster::{ADMIN, Cluster};
use crate::harness::Setup;
use crate::operator::run;

/// What a database has in it.
fn tables(cluster: &Cluster, database: &str) -> String {
    cluster.sql(
        database,
        "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY 1) FROM pg_tables \
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
}

/// Migrates, and gives the versions.
fn migrated(setup: &Setup, url: &str) -> (i64, i64) {
    let (status, out, err) = run(setup, &["store", "migrate", url, "--json"], b"");
    assert_eq!(status, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    (said["from"].as_i64().unwrap(), said["to"].as_i64().unwrap())
}

#[test]
fn a_schema_is_made_once_and_then_nothing_is_to_be_done() {
    let cluster = Cluster::shared();
    let database = cluster.database("");
    let url = cluster.url(&database);
    let setup = Setup::bare();

    assert_eq!(migrated(&setup, &url), (0, 1));
    let made = tables(cluster, &database);
    assert_eq!(migrated(&setup, &url), (1, 1));

    assert!(made.contains("public.meta"), "{made}");
    assert_eq!(tables(cluster, &database), made);
    let (status, out, _) = run(&setup.with(&["--store", &url]), &["store", "migrate"], b"");
    assert_eq!(
        (status, out.as_str()),
        (0, "the schema is version 1 already\n")
    );
}

#[test]
fn many_that_make_it_at_once_are_one() {
    let cluster = Cluster::shared();
    let database = cluster.database("");
    let url = cluster.url(&database);

    let said = thread::scope(|scope| {
        let all: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| migrated(&Setup::bare(), &url)))
            .collect();
        all.into_iter()
            .map(|one| one.join().unwrap())
            .collect::<Vec<_>>()
    });

    let made = said.iter().filter(|versions| **versions == (0, 1)).count();
    assert_eq!(made, 1, "{said:?}");
    assert!(said.iter().all(|(_, to)| *to == 1), "{said:?}");
    assert_eq!(cluster.sql(&database, "SELECT count(*) FROM meta"), "1");
}

#[test]
fn tables_lie_in_the_first_schema_of_the_path_and_no_other_is_looked_at() {
    let cluster = Cluster::shared();
    let database = cluster.database("");
    cluster.sql(
        &database,
        &format!(
            "CREATE SCHEMA login AUTHORIZATION {database};
             ALTER ROLE {database} SET search_path = missing, login, public;
             CREATE TABLE public.meta (version integer);
             INSERT INTO public.meta VALUES (9)"
        ),
    );

    let versions = migrated(&Setup::bare(), &cluster.url(&database));

    assert_eq!(versions, (0, 1));
    assert_eq!(
        cluster.sql(&database, "SELECT version FROM login.meta"),
        "1"
    );
    assert_eq!(
        cluster.sql(&database, "SELECT version FROM public.meta"),
        "9"
    );
}

#[test]
fn all_of_it_is_made_or_nothing() {
    let cluster = Cluster::shared();
    let setup = Setup::bare();
    let refused = |url: &str, why: &str| {
        let (status, out, err) = run(&setup, &["store", "migrate", url], b"");
        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(why), "{why}: {err}");
        assert_eq!(err.lines().count(), 2, "{err}");
    };

    // A table of somebody else is in the way of one of ours.
    let database = cluster.database("");
    cluster.sql(&database, "CREATE TABLE session (whose text)");
    refused(&cluster.url(&database), "\"session\" already exists");
    assert_eq!(tables(cluster, &database), "public.session");

    // One may not create there.
    let database = cluster.database("");
    cluster.sql(
        &database,
        &format!("ALTER DATABASE {database} OWNER TO {ADMIN}"),
    );
    cluster.sql(&database, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    refused(
        &cluster.url(&database),
        "permission denied for schema public",
    );
    assert_eq!(tables(cluster, &database), "");
}

#[test]
fn the_schema_of_a_later_program_is_left_as_it_is() {
    let cluster = Cluster::shared();
    let database = cluster.database("");
    let url = cluster.url(&database);
    let setup = Setup::bare();
    migrated(&setup, &url);
    for later in ["2", "9"] {
        cluster.sql(&database, &format!("UPDATE meta SET version = {later}"));

        let (status, out, err) = run(&setup, &["store", "migrate", &url], b"");

        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        let what = format!("its schema is version {later}, this knows up to 1");
        assert!(err.contains(&what), "{err}");
        assert_eq!(cluster.sql(&database, "SELECT version FROM meta"), later);
    }
}
