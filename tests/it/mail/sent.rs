//! Mail, as a mail server receives it, and what becomes of it when there is none.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{Authenticator, PASSWORD, Server, Setup, Visitor, provider, read, wait_for};

/// A mail server on loopback that takes every mail.
struct Sink {
    port: u16,
    mails: Receiver<Mail>,
    /// What it was told in clear, line by line.
    clear: Arc<Mutex<Vec<String>>>,
}

struct Mail {
    to: String,
    text: String,
}

/// How a [`Sink`] secures a connection.
#[derive(Default)]
enum Tls {
    #[default]
    Never,
    /// From the first byte.
    Implicit(Arc<ServerConfig>),
    /// After STARTTLS.
    Offered(Arc<ServerConfig>),
}

impl Sink {
    fn start() -> Self {
        Self::with(Tls::Never)
    }

    fn with(tls: Tls) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), tls, || ())
    }

    /// Calls `greet` before it says its first word on a connection.
    fn on(listener: TcpListener, tls: Tls, greet: impl Fn() + Send + 'static) -> Self {
        let port = listener.local_addr().unwrap().port();
        let clear = Arc::new(Mutex::new(Vec::new()));
        let (sender, mails) = channel();
        let heard = Arc::clone(&clear);
        thread::spawn(move || {
            for socket in listener.incoming() {
                greet();
                // The program may leave at any point, and so may the test.
                let _ = serve(socket.unwrap(), &tls, &heard, &sender);
            }
        });
        Self { port, mails, clear }
    }

    /// The address of this server for a program that sends in clear.
    fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// A server that could not be reached is tried again ten seconds later.
    fn next(&self) -> Mail {
        let next = self.mails.recv_timeout(Duration::from_secs(60));
        next.expect("a mail")
    }
}

impl Mail {
    fn subject(&self) -> &str {
        let line = self
            .text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "));
        line.unwrap()
    }

    fn new_password(&self) -> &str {
        new_password(&self.text)
    }
}

fn new_password(mail: &str) -> &str {
    let line = mail
        .lines()
        .find_map(|line| line.strip_prefix("New password: "));
    line.unwrap_or_else(|| panic!("no new password in {mail}"))
}

fn serve(
    mut socket: TcpStream,
    tls: &Tls,
    heard: &Mutex<Vec<String>>,
    mails: &Sender<Mail>,
) -> io::Result<()> {
    let secure = |config: &Arc<ServerConfig>, socket| {
        StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket)
    };
    let unheard = Mutex::default();
    match tls {
        Tls::Never => {
            socket.write_all(b"220 sink\r\n")?;
            converse(&mut socket, "250-sink\r\n250 AUTH PLAIN", heard, mails)
        }
        Tls::Implicit(config) => {
            let mut stream = secure(config, socket);
            stream.write_all(b"220 sink\r\n")?;
            converse(&mut stream, "250-sink\r\n250 AUTH PLAIN", &unheard, mails)
        }
        Tls::Offered(config) => {
            socket.write_all(b"220 sink\r\n")?;
            converse(
                &mut socket,
                "250-sink\r\n250-AUTH PLAIN\r\n250 STARTTLS",
                heard,
                mails,
            )?;
            converse(
                &mut secure(config, socket),
                "250-sink\r\n250 AUTH PLAIN",
                &unheard,
                mails,
            )
        }
    }
}

/// Until the client says QUIT or STARTTLS.
fn converse(
    stream: &mut (impl Read + Write),
    greeting: &str,
    heard: &Mutex<Vec<String>>,
    mails: &Sender<Mail>,
) -> io::Result<()> {
    let mut to = String::new();
    loop {
        let line = read_line(stream)?;
        heard.lock().unwrap().push(line.clone());
        let reply = match line.split([' ', ':']).next().unwrap() {
            "AUTH" => "235 ok",
            "EHLO" => greeting,
            "MAIL" => "250 ok",
            "RCPT" => {
                to = line;
                "250 ok"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                let mut text = String::new();
                loop {
                    match read_line(stream)?.as_str() {
                        "." => break,
                        line => text.push_str(line),
                    }
                    text.push_str("\r\n");
                }
                let to = to.clone();
                let _ = mails.send(Mail { to, text });
                "250 ok"
            }
            "STARTTLS" | "QUIT" => {
                stream.write_all(b"220 ok\r\n")?;
                return Ok(());
            }
            _ => "500 what",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

/// Byte by byte: nothing of what follows STARTTLS may be read here.
fn read_line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8(line).unwrap())
}

/// The mails that wait in the outbox.
fn waiting(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("outbox")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .collect()
}

fn forgot(visitor: &Visitor, name: &str) {
    visitor
        .post("/forgot_password", &[("username", name)])
        .expect("new_password_sent");
}

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
        waiting(setup.dir()).is_empty().then_some(())
    });
    server.signal(Signal::TERM);
    server.wait();
    let server = setup.start();
    let alice = alice.at(&server);
    alice.log_in("alice", PASSWORD, &authenticator);
    let change = [
        ("current_password", PASSWORD),
        ("new_password", "eight tame horses"),
    ];
    alice
        .post("/account/password", &change)
        .expect("password_changed");
    assert_eq!(sink.next().subject(), "Your password was changed");
}

#[test]
fn every_change_of_how_one_logs_in_is_told_by_mail() {
    let sink = Sink::start();
    let server = Server::start_with(&["--smtp", &sink.url()]);
    let (alice, old) = Visitor::with_account(&server, "alice");
    let told = |subject| {
        let mail = sink.next();
        assert_eq!(mail.subject(), subject);
        assert_eq!(mail.to, "RCPT TO:<alice@example.com>");
        assert!(!mail.text.contains(PASSWORD));
    };

    let password = ("current_password", PASSWORD);
    alice.new_recovery_codes();
    told("Your recovery codes were replaced");

    let answer = alice.post("/account/totp", &[password, ("secret", &old.code())]);
    let new = Authenticator::new(answer.json()["secret"].as_str().unwrap());
    let answer = alice.post("/account/totp/confirm", &[("secret", &new.code())]);
    answer.expect("authenticator_changed");
    told("Your authenticator was changed");

    let change = [password, ("new_password", "eight tame horses")];
    alice
        .post("/account/password", &change)
        .expect("password_changed");
    told("Your password was changed");

    let confirmed = [
        ("current_password", "eight tame horses"),
        ("secret", &new.code()),
    ];
    alice
        .post("/account/delete", &confirmed)
        .expect("account_deleted");
    told("Your account was deleted");
}

#[test]
fn a_recovery_code_that_is_used_is_told_apart_in_the_log_and_by_mail() {
    let server = Server::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    let codes = alice.new_recovery_codes();
    let used = |left: &str| {
        let mail = server.next_mail("A recovery code was used");
        assert!(mail.contains(&format!("\r\n{left}")), "{mail}");
    };
    let login = |password: &str, code: &str, outcome| {
        let visitor = Visitor::program(&server);
        visitor
            .post("/login", &[("username", "alice"), ("password", password)])
            .expect("code_required");
        visitor
            .post("/secret_key", &[("secret", code)])
            .expect(outcome);
    };
    let logged = |result: &str| {
        server
            .log()
            .matches(&format!("result=\"{result}\""))
            .count()
    };
    let before = logged("login_complete");

    login(PASSWORD, &codes[0], "login_complete");
    used("9 are left");
    assert_eq!(logged("login_by_recovery_code"), 1);
    assert_eq!(logged("login_complete"), before);
    login(PASSWORD, &authenticator.code(), "login_complete");
    assert_eq!(logged("login_by_recovery_code"), 1);
    assert_eq!(logged("login_complete"), before + 1);

    // One that leads to choosing a password, and one that changes something.
    let mailed = alice.mailed_password(&server, "alice");
    login(&mailed, &codes[1], "password_change_required");
    used("8 are left");
    assert_eq!(logged("password_change_required_by_recovery_code"), 1);
    let form = [("current_password", PASSWORD), ("secret", &codes[2])];
    alice.post("/account/totp", &form).expect("enrol_required");
    used("7 are left");

    // The last but one, and the last.
    server.edit_account("alice", |alice| {
        let codes = alice["recovery_codes"].as_array_mut().unwrap();
        codes.truncate(2);
    });
    wait_for("the edit to be taken up", || {
        let left = alice.get("/account").json()["recovery_codes_left"].clone();
        (left == 2).then_some(())
    });
    login(PASSWORD, &codes[3], "login_complete");
    used("1 is left");
    login(PASSWORD, &codes[4], "login_complete");
    used("0 are left");
    login(PASSWORD, &codes[4], "wrong_code");
    assert!(waiting(server.dir.path()).iter().all(|path| {
        let mail = fs::read_to_string(path).unwrap();
        !mail.contains("A recovery code was used")
    }));
}

#[test]
fn a_password_chosen_after_a_mailed_one_is_told_by_mail() {
    let sink = Sink::start();
    let server = Server::start_with(&["--smtp", &sink.url()]);
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let visitor = Visitor::program(&server);
    forgot(&visitor, "alice");
    let mail = sink.next();
    let login = [("username", "alice"), ("password", mail.new_password())];
    visitor.post("/login", &login).expect("code_required");
    visitor
        .post("/secret_key", &[("secret", &authenticator.code())])
        .expect("password_change_required");

    let answer = visitor.post(
        "/account/password",
        &[("new_password", "eight tame horses")],
    );

    answer.expect("password_changed");
    assert_eq!(sink.next().subject(), "Your password was changed");
}

#[test]
fn without_a_mail_server_mail_waits_for_the_operator() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");

    forgot(&visitor, "alice");

    let dir = server.dir.path();
    let path = wait_for("the mail", || waiting(dir).pop());
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let mail = fs::read_to_string(&path).unwrap();
    assert!(mail.contains("To: alice@example.com\r\n"), "{mail}");
    assert!(mail.contains("Subject: Your new password\r\n"), "{mail}");
    server.wait_for_log(path.file_name().unwrap().to_str().unwrap());
    assert!(!server.log().contains(new_password(&mail)));
}

/// A server that believes a test where it comes from.
fn believing() -> Server {
    Server::start_with(&["--no-tls", "--trusted-proxy", "127.0.0.1"])
}

/// The mails to each of these names once one more to the last of them has come: mails are written
/// in the order in which they were asked for.
fn mails_to(server: &Server, names: [&str; 2]) -> [usize; 2] {
    let last = format!("To: {}@", names[1]);
    let mails = wait_for("the last mail", || {
        let paths = waiting(server.dir.path());
        let mails: Vec<String> = paths
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        mails
            .iter()
            .any(|mail| mail.contains(&last))
            .then_some(mails)
    });
    names.map(|name| {
        let to = format!("To: {name}@example.com\r\n");
        mails.iter().filter(|mail| mail.contains(&to)).count()
    })
}

#[test]
fn five_mails_an_hour_go_to_an_account_and_strangers_leave_its_owner_one() {
    let server = believing();
    let (home, _) = Visitor::with_account(&server, "alice");
    home.register("bob");
    let from = |address: &str| Visitor::program(&server).sending("x-forwarded-for", address);
    let ask = |visitor: &Visitor, name| visitor.post("/forgot_password", &[("username", name)]);

    // Two of each network, and four of them all.
    let strangers: Vec<_> = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::ffff"]
        .iter()
        .flat_map(|address| ["alice"; 3].map(|name| ask(&from(address), name)))
        .collect();
    let unknown = ask(&from("192.0.2.3"), "nobody");
    forgot(&from("192.0.2.3"), "bob");
    assert_eq!(mails_to(&server, ["alice", "bob"]), [4, 1]);

    let owner = ["alice"; 3].map(|name| ask(&home, name));
    home.register("carol");
    forgot(&home, "carol");
    assert_eq!(mails_to(&server, ["alice", "carol"]), [5, 1]);

    for answer in strangers.into_iter().chain(owner) {
        assert_eq!((answer.status, &answer.body), (200, &unknown.body));
    }
}

#[test]
fn a_failing_disk_does_not_show_in_the_answer_to_a_forgotten_password() {
    let server = Server::start();
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    fs::remove_dir(server.path("outbox")).unwrap();
    fs::write(server.path("outbox"), "not a directory").unwrap();

    forgot(&visitor, "alice");

    server.wait_for_log("not_written");
}

/// What a mail server on localhost shows, with the certificate the program itself has.
fn certificate_of(setup: &Setup) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(setup.dir().join("server.crt")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(setup.dir().join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

#[test]
fn mail_goes_over_tls_to_a_server_whose_certificate_is_trusted() {
    for scheme in ["smtp", "smtps"] {
        let setup = Setup::new();
        let config = certificate_of(&setup);
        let sink = Sink::with(match scheme {
            "smtp" => Tls::Offered(config),
            _ => Tls::Implicit(config),
        });
        let url = format!("{scheme}://localhost:{}", sink.port);
        let setup = setup
            .with(&["--smtp", &url])
            .env("SSL_CERT_FILE", "server.crt");
        let server = setup.start();
        let visitor = Visitor::program(&server);
        visitor.register("alice");

        forgot(&visitor, "alice");

        assert_eq!(sink.next().subject(), "Your new password", "{scheme}");
        let clear = sink.clear.lock().unwrap();
        let harmless = |line: &String| line.starts_with("EHLO ") || line == "STARTTLS";
        assert!(clear.iter().all(harmless), "{clear:?}");
    }
}

#[test]
fn a_mail_server_that_cannot_be_trusted_hears_nothing() {
    let made = Setup::new();
    let ours = certificate_of(&made);
    // It is trusted, but for another host.
    let other = Setup::new();
    let names = ["mail.example.test".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    fs::write(other.dir().join("server.crt"), cert.pem()).unwrap();
    fs::write(other.dir().join("server.key"), signing_key.serialize_pem()).unwrap();
    let trusted = other.dir().join("server.crt");
    for (tls, trusted) in [
        (Tls::Never, None),
        (Tls::Offered(ours), None),
        (Tls::Offered(certificate_of(&other)), trusted.to_str()),
    ] {
        let sink = Sink::with(tls);
        let url = format!("smtp://bob:s3cret@localhost:{}", sink.port);
        let mut setup = Setup::new().with(&["--smtp", &url]);
        if let Some(trusted) = trusted {
            setup = setup.env("SSL_CERT_FILE", trusted);
        }
        let server = setup.start();
        let visitor = Visitor::program(&server);
        visitor.register("alice");

        forgot(&visitor, "alice");

        server.wait_for_log("cannot reach the mail server; mail waits");
        assert_eq!(waiting(setup.dir()).len(), 1);
        assert!(sink.mails.try_recv().is_err());
        let clear = sink.clear.lock().unwrap();
        let harmless =
            |line: &String| line.starts_with("EHLO ") || line == "STARTTLS" || line == "QUIT";
        assert!(clear.iter().all(harmless), "{clear:?}");
        assert!(!read(setup.dir(), "log").contains("s3cret"));
    }
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
    assert_eq!(waiting(server.dir.path()).len(), 1);

    rustix::net::listen(&listener, 8).unwrap();
    let sink = Sink::on(listener, Tls::Never, || ());

    assert_eq!(sink.next().subject(), "Your new password");
    wait_for("an empty outbox", || {
        waiting(server.dir.path()).is_empty().then_some(())
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
    let mut server = Server::start_with(&["--smtp", &sink.url()]);
    let visitor = Visitor::program(&server);
    visitor.register("alice");
    forgot(&visitor, "alice");
    comes.recv_timeout(Duration::from_secs(60)).unwrap();

    server.signal(Signal::TERM);
    server.wait_for_log("finishing what is in flight");
    // One that waited for nothing would be gone by then.
    thread::sleep(Duration::from_millis(500));
    speak.send(()).unwrap();

    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert_eq!(waiting(server.dir.path()), [] as [PathBuf; 0]);
    assert_eq!(sink.next().subject(), "Your new password");
}
