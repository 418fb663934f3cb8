//! A mail server, in clear or over TLS.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{CONFIRMATION, NEW_LOGIN};

/// A mail server on loopback. It takes every mail, unless it is told to say something else.
pub(crate) struct Sink {
    pub(crate) port: u16,
    pub(crate) mails: Receiver<Mail>,
    /// What it was told in clear, line by line.
    pub(crate) clear: Arc<Mutex<Vec<String>>>,
}

pub(crate) struct Mail {
    pub(crate) to: String,
    pub(crate) text: String,
}

/// How a [`Sink`] secures a connection.
#[derive(Default)]
pub(crate) enum Tls {
    #[default]
    Never,
    /// From the first byte.
    Implicit(Arc<ServerConfig>),
    /// After STARTTLS.
    Offered(Arc<ServerConfig>),
}

impl Sink {
    pub(crate) fn start() -> Self {
        Self::with(Tls::Never)
    }

    pub(crate) fn with(tls: Tls) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), tls, || ())
    }

    /// Says this at the end of every mail.
    #[cfg(feature = "long")]
    pub(crate) fn that_says(verdict: impl Fn() -> &'static str + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::run(listener, Tls::Never, || (), verdict)
    }

    /// Calls `greet` before it says its first word on a connection.
    pub(crate) fn on(listener: TcpListener, tls: Tls, greet: impl Fn() + Send + 'static) -> Self {
        Self::run(listener, tls, greet, || "250 ok")
    }

    fn run(
        listener: TcpListener,
        tls: Tls,
        greet: impl Fn() + Send + 'static,
        verdict: impl Fn() -> &'static str + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let clear = Arc::new(Mutex::new(Vec::new()));
        let (sender, mails) = channel();
        let heard = Arc::clone(&clear);
        let judge = move |mail| {
            let _ = sender.send(mail);
            verdict()
        };
        thread::spawn(move || {
            for socket in listener.incoming() {
                greet();
                // The program may leave at any point, and so may the test.
                let _ = serve(socket.unwrap(), &tls, &heard, &judge);
            }
        });
        Self { port, mails, clear }
    }

    /// The address of this server for a program that sends in clear.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// A server that could not be reached is tried again ten seconds later.
    pub(crate) fn any(&self) -> Mail {
        let next = self.mails.recv_timeout(Duration::from_secs(60));
        next.expect("a mail")
    }

    /// As [`Sink::any`], but for the mails that ask to confirm an address and those that tell of a
    /// login: few tests are about them.
    pub(crate) fn next(&self) -> Mail {
        loop {
            let mail = self.any();
            if ![CONFIRMATION, NEW_LOGIN]
                .iter()
                .any(|one| mail.text.contains(one))
            {
                return mail;
            }
        }
    }
}

impl Mail {
    pub(crate) fn subject(&self) -> &str {
        let line = self
            .text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "));
        line.unwrap()
    }

    pub(crate) fn new_password(&self) -> &str {
        new_password(&self.text)
    }
}

/// The password in a mail that brings a new one.
pub(crate) fn new_password(mail: &str) -> &str {
    let line = mail
        .lines()
        .find_map(|line| line.strip_prefix("New password: "));
    line.unwrap_or_else(|| panic!("no new password in {mail}"))
}

/// What is said of a mail.
type Judge = dyn Fn(Mail) -> &'static str;

fn serve(
    mut socket: TcpStream,
    tls: &Tls,
    heard: &Mutex<Vec<String>>,
    judge: &Judge,
) -> io::Result<()> {
    let secure = |config: &Arc<ServerConfig>, socket| {
        StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), socket)
    };
    let unheard = Mutex::default();
    match tls {
        Tls::Never => {
            socket.write_all(b"220 sink\r\n")?;
            let mut stream = Buffered(BufReader::new(socket));
            converse(&mut stream, "250-sink\r\n250 AUTH PLAIN", heard, judge)
        }
        Tls::Implicit(config) => {
            let mut stream = secure(config, socket);
            stream.write_all(b"220 sink\r\n")?;
            converse(&mut stream, "250-sink\r\n250 AUTH PLAIN", &unheard, judge)
        }
        Tls::Offered(config) => {
            socket.write_all(b"220 sink\r\n")?;
            converse(
                &mut socket,
                "250-sink\r\n250-AUTH PLAIN\r\n250 STARTTLS",
                heard,
                judge,
            )?;
            converse(
                &mut secure(config, socket),
                "250-sink\r\n250 AUTH PLAIN",
                &unheard,
                judge,
            )
        }
    }
}

/// A connection that stays in clear: reading it must not cost what is measured beside it.
struct Buffered(BufReader<TcpStream>);

impl Read for Buffered {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

/// Until the client says QUIT or STARTTLS.
fn converse(
    stream: &mut (impl Read + Write),
    greeting: &str,
    heard: &Mutex<Vec<String>>,
    judge: &Judge,
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
                judge(Mail { to, text })
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
