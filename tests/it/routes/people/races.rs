//! What happens at once.

use std::thread;

use serde_json::json;

use crate::harness::{Answer, Server, Visitor};
use crate::routes::people::{act, administrator};

/// Two forms sent at the same moment.
fn at_once(
    one: (&Visitor, &str, &[(&str, &str)]),
    other: (&Visitor, &str, &[(&str, &str)]),
) -> [Answer; 2] {
    let send = |(visitor, path, form): (&Visitor, &str, &[(&str, &str)])| {
        let visitor = visitor.reading(crate::harness::Accept::Json);
        let (path, form) = (
            path.to_owned(),
            form.iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect::<Vec<_>>(),
        );
        move || {
            let form: Vec<(&str, &str)> =
                form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            visitor.post(&path, &form)
        }
    };
    let (one, other) = (send(one), send(other));
    thread::scope(|scope| {
        let first = scope.spawn(one);
        let second = scope.spawn(other);
        [first.join().unwrap(), second.join().unwrap()]
    })
}

#[test]
fn of_two_who_disable_each_other_at_once_one_stays() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (eve, _) = administrator(&server, "eve");
    for round in 0..10 {
        let answers = at_once(
            (&ada, "/people/eve/disable", &[]),
            (&eve, "/people/ada/disable", &[]),
        );
        let statuses = answers.each_ref().map(|answer| answer.status);
        assert!(
            statuses == [200, 401] || statuses == [401, 200],
            "{round}: {answers:?}"
        );
        let users = server.users();
        let disabled = |name: &str| users["users"][name]["disabled"] == json!(true);
        assert_eq!(
            [disabled("eve"), disabled("ada")],
            [statuses[0] == 200, statuses[1] == 200]
        );
        let (winner, loser, name) = match disabled("eve") {
            true => (&ada, &eve, "eve"),
            false => (&eve, &ada, "ada"),
        };
        act(winner, &format!("/people/{name}/enable")).expect("account_enabled");
        act(winner, &format!("/people/{name}/reset_2fa")).expect("second_factor_reset");
        loser.enrol(name);
    }
}

#[test]
fn of_two_who_take_admins_from_each_other_at_once_one_stays() {
    let server = Server::start();
    let (ada, _) = administrator(&server, "ada");
    let (eve, _) = administrator(&server, "eve");
    for round in 0..10 {
        let users = [("groups", "users")];
        let answers = at_once(
            (&ada, "/people/eve/groups", &users),
            (&eve, "/people/ada/groups", &users),
        );
        let statuses = answers.each_ref().map(|answer| answer.status);
        assert!(
            statuses == [200, 404] || statuses == [404, 200],
            "{round}: {answers:?}"
        );
        let (winner, name) = match statuses[0] {
            200 => (&ada, "eve"),
            _ => (&eve, "ada"),
        };
        let back = [("groups", "users, admins")];
        winner
            .post(&format!("/people/{name}/groups"), &back)
            .expect("groups_changed");
    }
}

#[test]
fn a_form_that_comes_twice_at_once_is_answered_twice_and_done_once() {
    let server = Server::start_alone();
    let (ada, _) = administrator(&server, "ada");
    Visitor::program(&server).register("bob");
    let name = [("username", "bob")];
    let answers = at_once(
        (&ada, "/people/bob/remove", &name),
        (&ada, "/people/bob/remove", &name),
    );
    for answer in &answers {
        answer.expect("account_removed");
    }
    // The answer is not for whoever has the name next.
    assert_eq!(ada.get("/people/bob").status, 404);
    server_adds_bob(&server);
    crate::harness::wait_for("another bob", || {
        (ada.get("/people/bob").status == 200).then_some(())
    });
    ada.post("/people/bob/remove", &name)
        .expect("account_removed");
    assert_eq!(ada.get("/people/bob").status, 404);
}

/// An operator gives the name to somebody else.
fn server_adds_bob(server: &Server) {
    server.edit("users.json", |users| {
        let mut bob = users["users"]["ada"].clone();
        for field in ["id", "seal", "totp"] {
            bob.as_object_mut().unwrap().remove(field);
        }
        bob["email"] = json!("another@example.com");
        users["users"]["bob"] = bob;
    });
}
