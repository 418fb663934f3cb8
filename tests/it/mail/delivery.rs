//! How mail gets to a mail server that is there, late, silent or not there at all; each once.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::place::mails;
use crate::harness::smtp_sink::{Sink, Tls, new_password};
use crate::harness::{PASSWORD, Server, Setup, Visitor, wait_for};
use crate::mail::{forgot, waiting};

#[test]
fn a_new_password_is_mailed_once_whatever_host_the_request_claims() {
    let sink = Sink::start();
    let setup = Setup::new().with(&["--smtp", &sink.url()]);
    let mut server = setup.start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let mut liar = Visitor::program(&server);
    for name in ["host", "x-forwarded-host"] {
        let lie = (name.to_owned(), "evil.example".to_owned());
        liar.headers.push(lie);
    }

    forgot(&liar, "alice");

    let mail = sink.next();
    assert_eq!(mail.to, "RCPT TO:<alice@example.com>");
    assert_eq!(mail.subject(), "Your new password");
    assert!(mail.text.contains("for 30 minutes"), "{}", mail.text);
    assert!(mail.text.contains("If you did not ask for this"));
    assert!(
        mail.text
            .contains(&format!("\r\n{}\r\n", server.url("/login")))
    );
    assert!(!mail.text.contains("evil"), "{}", mail.text);
    assert!(mail.new_password().len() >= 22, "128 bits in base64");

    // Neither the running program nor a new one sends it again: the next mail is the notice.
    wait_for("an empty outbox", || {
        mails(setup.dir()).is_empty().then_some(())
    });
    server.signal(Signal::TERM);
    server.wait();
    let server = setup.start();
    let alice = alice.at(&server);
    alice.log_in("alice", PASSWORD, &authenticator);
    alice.change_password("eight tame horses");
    assert_eq!(sink.next().subject(), "Your password was changed");
}

#[test]
fn without_a_mail_server_mail_waits_for_the_operator() {
    of_one_machine!("mails are files in the outbox");
    let server = Server::start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");

    forgot(&visitor, "alice");

    let dir = server.dir.path();
    let paths = || fs::read_dir(dir.join("outbox")).unwrap();
    let path = wait_for("the mail", || {
        let mut paths = paths().map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|ending| ending == "eml"))
    });
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let mail = fs::read_to_string(&path).unwrap();
    assert!(mail.contains("To: alice@example.com\r\n"), "{mail}");
    assert!(mail.contains("Subject: Your new password\r\n"), "{mail}");
    server.wait_for_log(path.file_name().unwrap().to_str().unwrap());
    assert!(!server.log().contains(new_password(&mail)));
}

#[test]
fn mail_for_a_dead_mail_server_arrives_once_it_lives() {
    // Bound but not listening: connections are refused, and nobody else takes the port.
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().unwrap().port();
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let server = Server::start_with(&["--smtp", &url]);
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    forgot(&visitor, "alice");
    server.wait_for_log("cannot reach the mail server; mail waits");
    wait_for("the mail", || {
        (waiting(server.dir.path()).len() == 1).then_some(())
    });

    rustix::net::listen(&listener, 8).unwrap();
    let sink = Sink::on(listener, Tls::Never, || ());

    assert_eq!(sink.next().subject(), "Your new password");
    wait_for("an empty outbox", || {
        mails(server.dir.path()).is_empty().then_some(())
    });
}

/// A mail server that says nothing to a client before it is told that it may: it, who tells that
/// one has come, and who is told.
fn silent_sink() -> (Sink, Receiver<()>, Sender<()>) {
    let (came, comes) = channel();
    let (speak, may_speak) = channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = Sink::on(listener, Tls::Never, move || {
        let _ = came.send(());
        let _ = may_speak.recv();
    });
    (sink, comes, speak)
}

#[test]
fn nobody_waits_for_a_mail_server_that_says_nothing() {
    let (sink, comes, speak) = silent_sink();
    let server = Server::start_with(&["--smtp", &sink.url()]);
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    forgot(&visitor, "alice");
    comes.recv_timeout(Duration::from_secs(60)).unwrap();

    // The mail server is still silent when this is answered.
    forgot(&visitor, "alice");

    assert!(!server.log().contains("cannot reach the mail server"));
    drop(speak);
    assert_eq!(sink.next().subject(), "Your new password");
    assert_eq!(sink.next().subject(), "Your new password");
}

#[test]
fn the_mail_being_sent_at_the_end_is_sent_once_and_its_file_goes() {
    let (sink, comes, speak) = silent_sink();
    let setup = Setup::new();
    let server = setup.start();
    Visitor::program(&server).register("alice");
    drop(server);
    let mut server = setup.with(&["--smtp", &sink.url()]).alone().start();
    forgot(&Visitor::program(&server), "alice");
    comes.recv_timeout(Duration::from_secs(60)).unwrap();

    server.signal(Signal::TERM);
    server.wait_for_log("finishing what is in flight");
    // One that waited for nothing would be gone by then.
    thread::sleep(Duration::from_millis(500));
    speak.send(()).unwrap();

    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert_eq!(mails(server.dir.path()), [] as [String; 0]);
    assert_eq!(sink.next().subject(), "Your new password");
}
