//! One request, byte by byte, over a connection of its own. Within a time limit, and no more of the
//! answer than is looked at.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a request may take from the first byte to the last.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of an answer is read: more than any page that shows a request.
const MAX_ANSWER: u64 = 256 * 1024;

/// The way to one proxy.
pub(super) struct Wire {
    host: String,
    port: u16,
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Wire {
    /// # Errors
    ///
    /// The host has no address, or `roots` is not PEM.
    pub(super) fn to(
        host: &str,
        port: u16,
        connect: Option<SocketAddr>,
        roots: Option<&[u8]>,
    ) -> io::Result<Self> {
        let mut trusted = RootCertStore::empty();
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in rustls_pemfile::certs(&mut roots.unwrap_or_default()) {
            trusted.add(certificate?).map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        let address = match connect {
            Some(address) => address,
            None => (host, port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::other("the host has no address"))?,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            address,
            config: Arc::new(config),
        })
    }

    /// Host and port as a browser sends them.
    pub(super) fn authority(&self) -> String {
        match self.port {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Sends a GET with this target and these fields as they are.
    pub(super) fn ask(&self, target: &str, host: &str, fields: &[String]) -> io::Result<Answer> {
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let socket = connect(self.address)?;
        let limit = socket.try_clone()?;
        exchange(
            StreamOwned::new(tls, socket),
            &limit,
            &head(target, host, fields),
        )
    }

    /// The same without TLS, at another port.
    pub(super) fn ask_plainly(&self, port: u16) -> io::Result<Answer> {
        let socket = connect(SocketAddr::new(self.address.ip(), port))?;
        let limit = socket.try_clone()?;
        exchange(socket, &limit, &head("/", &self.host, &[]))
    }

    /// Whether anything takes connections at another port.
    pub(super) fn is_open(&self, port: u16) -> bool {
        connect(SocketAddr::new(self.address.ip(), port)).is_ok()
    }
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.split("\r\n").skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    /// Whether something was served: an empty yes gives nothing away.
    pub(super) fn serves(&self) -> bool {
        (200..300).contains(&self.status) && !self.body().trim().is_empty()
    }

    /// Whether the visitor was turned away in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.status == other.status && self.field("location") == other.field("location")
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, PATIENCE)
}

fn head(target: &str, host: &str, fields: &[String]) -> String {
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: text/html\r\n\
         User-Agent: auth_user-doctor\r\n"
    );
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

fn exchange(
    mut stream: impl io::Read + io::Write,
    socket: &TcpStream,
    request: &str,
) -> io::Result<Answer> {
    let end = Instant::now() + PATIENCE;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    while (bytes.len() as u64) < MAX_ANSWER {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            // What came before is an answer, however the connection ended.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok())
        .ok_or_else(|| io::Error::other("no HTTP answer"))?;
    Ok(Answer { status, text })
}
