//! A mail server on loopback that does what a test asks for, and reports what it saw.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does besides accepting everything.
#[derive(Default)]
pub(super) struct Manners {
    /// The replies to the first mails, at the end of their data; all later ones get `250`.
    pub(super) replies: VecDeque<&'static str>,
    /// If set, STARTTLS is offered.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// TLS from the first byte.
    pub(super) implicit: bool,
    /// How many connections are closed without a word.
    pub(super) hang_ups: usize,
    /// If set, the greeting of each connection waits for a message on this.
    pub(super) gate: Option<Receiver<()>>,
}

pub(super) struct Sink {
    pub(super) address: SocketAddr,
    received: Receiver<Received>,
    /// What came in the clear, line by line.
    pub(super) clear: Arc<Mutex<Vec<String>>>,
    pub(super) connections: Receiver<()>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Received {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    /// Dots already unstuffed.
    pub(super) text: String,
    /// The AUTH command of the connection.
    pub(super) auth: String,
}

impl Sink {
    pub(super) fn start(manners: Manners) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), manners)
    }

    pub(super) fn on(listener: TcpListener, mut manners: Manners) -> Self {
        let address = listener.local_addr().unwrap();
        let (mails, received) = channel();
        let (opened, connections) = channel();
        let clear = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&clear);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = opened.send(());
                if manners.hang_ups > 0 {
                    manners.hang_ups -= 1;
                    continue;
                }
                // Clients may leave at any point.
                let _ = serve(stream.unwrap(), &mut manners, &mails, &log);
            }
        });
        Self {
            address,
            received,
            clear,
            connections,
        }
    }

    /// Waits for a shorter time than the interval at which the sender looks by itself, so a mail
    /// that does not wake the sender arrives too late.
    pub(super) fn next(&self) -> Received {
        self.received.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// Everything that has arrived and was not asked for. Only meaningful once the sender has stopped.
    #[cfg(feature = "databases")]
    pub(super) fn all(&self) -> Vec<Received> {
        self.received.try_iter().collect()
    }

    /// Whether nothing more has arrived. Only meaningful once the sender has stopped.
    pub(super) fn is_empty(&self) -> bool {
        self.received.try_recv().is_err()
    }
}

fn serve(
    mut stream: TcpStream,
    manners: &mut Manners,
    mails: &Sender<Received>,
    log: &Mutex<Vec<String>>,
) -> io::Result<()> {
    if let Some(gate) = &manners.gate {
        let _ = gate.recv();
    }
    let tls = manners.tls.clone();
    if let (Some(config), true) = (&tls, manners.implicit) {
        let mut secure = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        secure.write_all(b"220 sink\r\n")?;
        return converse(&mut secure, false, manners, mails, None).map(drop);
    }
    stream.write_all(b"220 sink\r\n")?;
    if converse(&mut stream, tls.is_some(), manners, mails, Some(log))?
        && let Some(config) = tls
    {
        let mut secure = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        converse(&mut secure, false, manners, mails, None)?;
    }
    Ok(())
}

/// Talks to the client; returns whether it wants TLS now.
fn converse(
    stream: &mut (impl Read + Write),
    starttls: bool,
    manners: &mut Manners,
    mails: &Sender<Received>,
    log: Option<&Mutex<Vec<String>>>,
) -> io::Result<bool> {
    let mut mail = Received::default();
    loop {
        let line = read_line(stream)?;
        if let Some(log) = log {
            log.lock().unwrap().push(line.clone());
        }
        let reply = match line.split([' ', ':']).next().unwrap() {
            "EHLO" if starttls => "250-sink\r\n250 STARTTLS",
            "EHLO" => "250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.write_all(b"220 go\r\n")?;
                return Ok(true);
            }
            "AUTH" => {
                mail.auth = line;
                "235 ok"
            }
            "MAIL" => {
                mail.from = line;
                mail.to.clear();
                "250 ok"
            }
            "RCPT" => {
                mail.to.push(line);
                "250 ok"
            }
            "DATA" => {
                stream.write_all(b"354 go\r\n")?;
                mail.text = read_data(stream)?;
                let reply = manners.replies.pop_front().unwrap_or("250 ok");
                mails.send(mail.clone()).unwrap();
                reply
            }
            "QUIT" => "221 bye",
            _ => "500 what",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

fn read_data(stream: &mut impl Read) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let line = read_line(stream)?;
        if line == "." {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push_str("\r\n");
    }
}

/// Reads byte by byte: nothing that follows STARTTLS may be read here.
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
