//! Somebody else's site, on another port of this machine. A browser reaches it as `localhost`,
//! which is the same site as ours though another origin, and as `evil.test`, which is another site.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::CertifiedKey;
use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{PATIENCE, provider};

/// A site that serves what a test puts there and remembers who came. It ends with the process.
pub(crate) struct Stranger {
    pub(crate) port: u16,
    pub(crate) certificate: CertificateDer<'static>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Whole answers by path. Any other path is an empty page.
    answers: HashMap<String, String>,
    visits: Vec<Visit>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) target: String,
    pub(crate) cookies: String,
}

impl Stranger {
    pub(crate) fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.into())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Mutex<Shared>>::default();
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, shared) = (Arc::clone(&config), Arc::clone(&theirs));
                let _ = socket.set_read_timeout(Some(PATIENCE));
                thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    answer(StreamOwned::new(connection, socket), &shared)
                });
            }
        });
        Self {
            port,
            certificate: cert.der().clone(),
            shared,
        }
    }

    /// The path at a host that leads here.
    pub(crate) fn at(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    pub(crate) fn serves(&self, path: &str, page: &str) {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{page}",
            page.len()
        );
        let mut shared = self.shared.lock().unwrap();
        shared.answers.insert(path.to_owned(), answer);
    }

    /// Sends who comes to this path elsewhere: with 302 they ask anew, with 307 they send the same.
    pub(crate) fn redirects(&self, path: &str, status: u16, to: &str) {
        let answer = format!(
            "HTTP/1.1 {status} Away\r\nLocation: {to}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let mut shared = self.shared.lock().unwrap();
        shared.answers.insert(path.to_owned(), answer);
    }

    /// Who came since this was asked last.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        std::mem::take(&mut self.shared.lock().unwrap().visits)
    }
}

fn answer(
    stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    shared: &Mutex<Shared>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (mut cookies, mut length) = (String::new(), 0);
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "cookie" => value.clone_into(&mut cookies),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    // Unread, a body would reset the connection under the answer.
    std::io::copy(
        &mut std::io::Read::take(&mut stream, length),
        &mut std::io::sink(),
    )
    .ok()?;
    let path = target.split('?').next()?.to_owned();
    let mut held = shared.lock().unwrap();
    held.visits.push(Visit { target, cookies });
    let known = held.answers.get(&path).cloned();
    drop(held);
    let empty = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n";
    let out = stream.get_mut();
    out.write_all(known.as_deref().unwrap_or(empty).as_bytes())
        .ok()?;
    out.conn.send_close_notify();
    out.flush().ok()
}
