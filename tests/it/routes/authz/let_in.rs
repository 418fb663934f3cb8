//! Who is let in, by which session, and what an application is told of them.

use std::fs;

use crate::harness::{Answer, PASSWORD, Server, Visitor, wait_for};
use crate::routes::authz::{
    AUTH_REQUEST, BROWSER, FORWARD_AUTH, VERIFY, ask, forwarded, is_let_in, original, session,
    setup, with, with_alice,
};

#[test]
fn a_visitor_with_a_session_is_let_in_and_named() {
    let (server, alice, cookie) = with_alice();
    server.edit_account("alice", |alice| alice["email_proven"] = true.into());
    wait_for("the edit", || {
        (alice.get("/account").json()["email_proven"] == true).then_some(())
    });
    let cookie = &[("Cookie", cookie.as_str())];
    for (path, fields) in [
        (FORWARD_AUTH, forwarded("GET", "app.example.com", "/a?b=c")),
        (
            AUTH_REQUEST,
            original("GET", "https://app.example.com/a?b=c"),
        ),
        (VERIFY, forwarded("GET", "app.example.com", "/a?b=c")),
        (VERIFY, original("GET", "https://app.example.com/a?b=c")),
    ] {
        let answer = ask(&server, "GET", path, &with(fields, cookie));

        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        assert_eq!(answer.header("remote-user"), Some("alice"));
        assert_eq!(answer.header("remote-name"), Some("alice"));
        assert_eq!(answer.header("remote-email"), Some("alice@example.com"));
        assert_eq!(answer.header("remote-groups"), Some("users"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("location"), None);
    }
}

#[test]
fn what_an_application_is_told_is_printable_and_never_empty() {
    let (server, alice, cookie) = with_alice();
    let groups = |groups: serde_json::Value| {
        server.edit_account_and_wait("alice", |account| account["groups"] = groups);
        wait_for("the groups", || {
            let seen = alice.get("/account").json()["groups"].clone();
            (seen == server.users()["users"]["alice"]["groups"]).then_some(())
        });
        let fields = with(
            forwarded("GET", "app.example.com", "/"),
            &[("Cookie", &cookie)],
        );
        let answer = ask(&server, "GET", FORWARD_AUTH, &fields);
        answer.header("remote-groups").unwrap().to_owned()
    };

    assert_eq!(groups(serde_json::json!([])), "-");
    assert_eq!(groups(serde_json::json!(["", " "])), "-");
    assert_eq!(
        groups(serde_json::json!([
            "power users",
            "a,root",
            "k\u{fc}che",
            "x\r\ny: z",
            "100%"
        ])),
        "power users,a%2Croot,k%C3%BCche,x%0D%0Ay: z,100%25"
    );
}

#[test]
fn a_password_in_the_request_lets_nobody_in() {
    let (server, _, cookie) = with_alice();
    // alice, and her right password.
    let basic = ("Authorization", "Basic YWxpY2U6c2V2ZW4gd2lsZCBob3JzZXM=");
    let fields = || with(forwarded("GET", "app.example.com", "/"), &[basic]);
    assert_eq!(PASSWORD, "seven wild horses");

    let answer = ask(&server, "GET", FORWARD_AUTH, &fields());
    let by_nginx = with(original("GET", "https://app.example.com/"), &[basic]);
    let told = ask(&server, "GET", AUTH_REQUEST, &by_nginx);
    // It is not looked at, so it does no harm either: it may be meant for the application.
    let with_session = ask(
        &server,
        "GET",
        FORWARD_AUTH,
        &with(fields(), &[("Cookie", &cookie)]),
    );

    assert_eq!(
        (answer.status, told.status, with_session.status),
        (302, 401, 200)
    );
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(told.header("www-authenticate"), None);
}

#[test]
fn only_a_session_counts_and_not_half_a_login() {
    let (server, alice, _) = with_alice();
    let bob = Visitor::program(&server);
    bob.register("bob");
    bob.post("/login", &[("username", "bob"), ("password", PASSWORD)])
        .expect("enrol_required");
    let pending = bob.cookies.borrow()["__Host-login"].clone();
    let device = alice.cookies.borrow()["__Host-device"].clone();
    let own = session(&alice);

    for cookie in [
        format!("__Host-login={pending}"),
        format!("__Secure-session={pending}"),
        format!("__Host-session={pending}"),
        format!("__Secure-session={device}"),
        format!("__Host-session={}", own.split_once('=').unwrap().1),
        format!("{own}x"),
        "__Secure-session=".to_owned(),
        "__Secure-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
    ] {
        assert!(!is_let_in(&server, &cookie), "{cookie}");
    }
    assert!(is_let_in(&server, &own));
}

#[test]
fn of_several_session_cookies_the_one_that_is_a_session_counts() {
    let (server, _, own) = with_alice();
    let (bob, _) = Visitor::with_account(&server, "bob");
    let ended = session(&bob);
    bob.post("/logout", &[]).expect("logged_out");

    for cookies in [
        format!("__Secure-session=planted; {own}"),
        format!("{own}; __Secure-session="),
        format!("{own}; {ended}"),
        format!("a=1; {ended}; __Secure-session=x; b=2; {own}; __Secure-session=y"),
        // Browsers keep a tab in a value, which an application could set.
        format!("a=1;\t{own}"),
        format!("\t {own}\t;\tb=2"),
        format!("a=1;\t__Secure-session=planted; {own}"),
    ] {
        assert!(is_let_in(&server, &cookies), "{cookies:?}");
    }
    for cookies in [
        format!("{ended}; __Secure-session=x"),
        format!("a=1\t{own}"),
        format!("__Secure-session\t={}", &own["__Secure-session=".len()..]),
        format!("x{own}"),
    ] {
        assert!(!is_let_in(&server, &cookies), "{cookies:?}");
    }
    // A tab is the only one of its kind.
    for control in ["\x01", "\x0b", "\x0c", "\x1f", "\x7f", "\0"] {
        for (path, status) in [
            (FORWARD_AUTH, 400),
            (AUTH_REQUEST, 403),
            ("/", 400),
            ("/login", 400),
            ("/account", 400),
            ("/healthz", 400),
            ("/nowhere", 400),
        ] {
            let cookie = format!("a={control}; {own}");
            let answer = ask(&server, "GET", path, &[("Cookie", &cookie)]);
            assert_eq!(answer.status, status, "{path} {control:?}");
        }
    }
}

#[test]
fn two_sessions_at_once_are_none_and_the_page_says_so_and_ends_the_name() {
    let (server, alice, own) = with_alice();
    let (mallory, _) = Visitor::with_account(&server, "mallory");
    let planted = session(&mallory);
    let ends = |answer: &Answer| {
        let mut ended: Vec<&str> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        ended.sort_unstable();
        assert!(
            ended
                .iter()
                .all(|cookie| cookie.contains("=;") && cookie.contains("Max-Age=0"))
        );
        let at_root: Vec<&str> = ended
            .into_iter()
            .filter(|cookie| cookie.contains("Path=/;"))
            .collect();
        let attributes = "Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0";
        let bare = format!("__Secure-session=; {attributes}");
        assert_eq!(
            at_root,
            [bare.clone(), format!("{bare}; Domain=example.com")]
        );
    };
    for cookies in [
        format!("{own}; {planted}"),
        format!("{planted}; x=y; {own}"),
        format!("{own};\t{planted}; __Secure-session=x"),
    ] {
        let cookie = ("Cookie", cookies.as_str());
        let questions = [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", "/a/b")),
            (AUTH_REQUEST, original("GET", "https://app.example.com/a/b")),
            (VERIFY, forwarded("GET", "app.example.com", "/a/b")),
            ("/account", vec![("Accept", BROWSER)]),
            ("/account/password", vec![("Accept", BROWSER)]),
        ];
        for (path, fields) in questions {
            let answer = ask(&server, "GET", path, &with(fields, &[cookie]));

            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.header("remote-user"), None);
            assert!(
                answer.body.contains("Two sessions were sent"),
                "{path} {answer:?}"
            );
            ends(&answer);
        }
        let login = ask(&server, "GET", "/login", &[("Accept", BROWSER), cookie]);
        assert_eq!(login.status, 200);
        assert!(login.body.contains("Two sessions were sent"));
        ends(&login);
        let told = ask(
            &server,
            "GET",
            "/account",
            &[("Accept", "application/json"), cookie],
        );
        told.expect("login_required");
        ends(&told);
    }
    // A planted one can have a path of its own, as long as that of what is asked for.
    let both = format!("{own}; {planted}");
    let fields = with(
        forwarded("GET", "app.example.com", "/a/b"),
        &[("Cookie", &both)],
    );
    let answer = format!("{:?}", ask(&server, "GET", FORWARD_AUTH, &fields));
    for path in ["/a", "/a/", "/a/b", "/a/b/"] {
        assert!(answer.contains(&format!("Path={path};")), "{path} {answer}");
    }
    // Neither was ended; a log-out ends both.
    assert!(alice.is_logged_in() && mallory.is_logged_in());
    let fields = [("Accept", "application/json"), ("Cookie", both.as_str())];
    ask(
        &server,
        "POST",
        "/logout",
        &with(fields.to_vec(), &[("Content-Length", "0")]),
    )
    .expect("logged_out");
    assert!(!alice.is_logged_in() && !mallory.is_logged_in());
}

#[test]
fn a_visitor_who_logs_out_is_out_everywhere_at_once() {
    let (server, alice, cookie) = with_alice();
    assert!(is_let_in(&server, &cookie));

    alice.post("/logout", &[]).expect("logged_out");

    assert!(!is_let_in(&server, &cookie));
}

#[test]
fn a_disabled_or_deleted_account_is_out_at_once() {
    let (server, _, alice) = with_alice();
    let (bob, authenticator) = Visitor::with_account(&server, "bob");
    let cookie = session(&bob);
    assert!(is_let_in(&server, &cookie));

    let form = [
        ("current_password", PASSWORD),
        ("secret", &authenticator.code()),
    ];
    bob.post("/account/delete", &form).expect("account_deleted");
    assert!(!is_let_in(&server, &cookie));

    server.edit_account("alice", |account| account["disabled"] = true.into());
    wait_for("alice to be out", || {
        (!is_let_in(&server, &alice)).then_some(())
    });
}

#[test]
fn those_with_sessions_do_not_notice_that_the_accounts_file_cannot_be_read() {
    of_one_machine!("a damaged users.json");
    let (server, _, cookie) = with_alice();
    let good = server.users().to_string();
    for damage in ["{", "", "[]"] {
        fs::write(server.path("users.json"), damage).unwrap();
        wait_for("the damage to be seen", || {
            (Visitor::program(&server).get("/healthz").status == 503).then_some(())
        });

        for (path, fields) in [
            (FORWARD_AUTH, forwarded("GET", "app.example.com", "/")),
            (AUTH_REQUEST, original("GET", "https://app.example.com/")),
            (VERIFY, forwarded("GET", "app.example.com", "/")),
        ] {
            let answer = ask(&server, "GET", path, &with(fields, &[("Cookie", &cookie)]));
            assert_eq!(answer.status, 200, "{path} {damage:?}");
            assert_eq!(answer.header("remote-user"), Some("alice"));
        }

        fs::write(server.path("users.json"), &good).unwrap();
        wait_for("the file to be mended", || {
            (Visitor::program(&server).get("/healthz").status == 200).then_some(())
        });
    }
}

#[test]
fn without_a_cookie_domain_a_session_lets_in_at_our_own_host_alone() {
    let server = Server::start_with(&[
        "--public-url",
        "https://auth.example.com",
        "--trusted-proxy",
        "127.0.0.1",
    ]);
    let (alice, _) = Visitor::with_account(&server, "alice");
    let cookie = format!(
        "__Host-session={}",
        alice.cookies.borrow()["__Host-session"]
    );
    let status = |host| {
        let fields = with(forwarded("GET", host, "/x"), &[("Cookie", &cookie)]);
        ask(&server, "GET", FORWARD_AUTH, &fields).status
    };

    assert_eq!(status("auth.example.com"), 200);
    assert_eq!(status("auth.example.com:8443"), 200);
    assert_eq!(status("app.auth.example.com"), 400);
    assert_eq!(status("app.example.com"), 400);
}

#[test]
fn a_session_in_use_at_an_application_does_not_fall_idle() {
    of_one_machine!("the last use of a session is saved by the minute");
    let server = setup().start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let cookie = session(&alice);
    let elsewhere = Visitor::program(&server);
    elsewhere.log_in("alice", PASSWORD, &authenticator);
    let fields = || {
        let fields = forwarded("GET", "app.example.com", "/");
        with(fields, &[("Cookie", &cookie)])
    };

    // As HAProxy asks: by HEAD, which changes nothing anywhere else.
    wait_for("the use to be noted", || {
        assert_eq!(ask(&server, "HEAD", FORWARD_AUTH, &fields()).status, 200);
        let account = elsewhere.get("/account").json();
        let session = &account["sessions"][1];
        (session["last_seen"] != session["created"]).then_some(())
    });
}

#[test]
fn an_application_is_told_an_id_that_stays_with_the_account_and_goes_with_it() {
    of_one_machine!("an account is copied in users.json");
    let (server, alice, cookie) = with_alice();
    let told = |cookie: &str| {
        let fields = forwarded("GET", "app.example.com", "/");
        let answer = ask(
            &server,
            "GET",
            FORWARD_AUTH,
            &with(fields, &[("Cookie", cookie)]),
        );
        answer.header("remote-id").map(str::to_owned)
    };
    let id = told(&cookie).unwrap();
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    assert!(id.len() >= 26 && id.bytes().all(is_plain), "{id}");
    assert_eq!(server.users()["users"]["alice"]["id"], id.as_str());

    // An operator who copies the account gives the copy nothing of its identity, nor do they take
    // it by leaving the id out.
    let mut users = server.users();
    let mut copy = users["users"]["alice"].clone();
    copy["email"] = "copy@example.com".into();
    users["users"]["copy"] = copy;
    fs::write(server.path("users.json"), users.to_string()).unwrap();
    server.wait_for_log("this account had the id of another");
    let copied = wait_for("the copy to be saved", || {
        let id = server.users()["users"]["copy"]["id"].clone();
        (id != server.users()["users"]["alice"]["id"]).then_some(id)
    });
    assert!(copied.is_string());
    assert_eq!(told(&cookie).as_ref(), Some(&id));
    assert!(alice.is_logged_in());
    server.edit_account("copy", |copy| {
        copy.as_object_mut().unwrap().remove("id");
    });
    wait_for("an id", || {
        let now = server.users()["users"]["copy"]["id"].clone();
        (now.is_string() && now != copied).then_some(())
    });
}

#[test]
fn accounts_of_an_earlier_version_are_given_an_id_at_the_start() {
    of_one_machine!("a users.json of an earlier version");
    let setup = setup();
    let server = setup.start();
    Visitor::program(&server).register("alice");
    drop(server);
    let path = setup.dir().join("users.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut users: serde_json::Value = serde_json::from_str(&text).unwrap();
    let alice = users["users"]["alice"].as_object_mut().unwrap();
    alice.remove("id");
    alice.remove("email_proven");
    fs::write(&path, users.to_string()).unwrap();

    let server = setup.start();
    wait_for("an id", || {
        server.users()["users"]["alice"]["id"]
            .is_string()
            .then_some(())
    });
    assert_eq!(server.users()["users"]["alice"]["email_proven"], false);
}
