//! Sends one request, byte for byte, over a connection of its own, within a time limit, and reads
//! no more of the answer than is needed.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Error, StreamOwned};

use crate::trust;

/// How long a request may take from the first byte to the last.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of an answer is read: more than any page that shows a request.
const MAX_ANSWER: usize = 256 * 1024;

/// Which certificates the doctor trusts: this machine's roots, and those that the operator names.
#[derive(Clone)]
pub(super) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// # Errors
    ///
    /// If `named` is not PEM, or has no certificate in it, or there is nothing to trust.
    pub(super) fn new(named: Option<&[u8]>) -> io::Result<Self> {
        let machine = trust::of_this_machine();
        let mut all: Vec<_> = machine.into_iter().map(CertificateDer::from).collect();
        let before = all.len();
        for certificate in rustls_pemfile::certs(&mut named.unwrap_or_default()) {
            all.push(certificate?);
        }
        if named.is_some() && all.len() == before {
            return Err(io::Error::other("the file of --ca holds no certificate"));
        }
        let config = trust::client(all)?.ok_or_else(|| {
            io::Error::other("this machine trusts no certificate; name one with --ca")
        })?;
        Ok(Self(Arc::new(config)))
    }
}

/// The way to one host.
pub(super) struct Endpoint {
    /// As in a URL, with brackets around an IPv6 address.
    host: String,
    port: u16,
    address: SocketAddr,
    trust: Trust,
}

/// A request as it is sent.
pub(super) struct Sent<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    /// What the `Host` field says.
    pub(super) host: &'a str,
    /// Whole field lines, sent as they are. An `Accept` or a `Connection` replaces the usual one.
    pub(super) fields: &'a [String],
    /// A form, or nothing.
    pub(super) body: &'a str,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Endpoint {
    /// # Errors
    ///
    /// If the host has no address.
    pub(super) fn to(
        host: &str,
        port: u16,
        connect: Option<SocketAddr>,
        trust: &Trust,
    ) -> io::Result<Self> {
        let address = match connect {
            Some(address) => address,
            None => (bare(host), port)
                .to_socket_addrs()?
                .next()
                .ok_or_else(|| io::Error::other("the host has no address"))?,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            address,
            trust: trust.clone(),
        })
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address.ip()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a browser sends them.
    pub(super) fn authority(&self) -> String {
        match self.port {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    pub(super) fn send(&self, sent: &Sent<'_>) -> io::Result<Answer> {
        let name = ServerName::try_from(bare(&self.host).to_owned()).map_err(io::Error::other)?;
        let tls =
            ClientConnection::new(Arc::clone(&self.trust.0), name).map_err(io::Error::other)?;
        let socket = connect(self.address)?;
        let limit = socket.try_clone()?;
        exchange(StreamOwned::new(tls, socket), &limit, sent)
    }

    /// What an operator should do about a request that failed like this.
    pub(super) fn what_to_do_about(&self, error: &io::Error) -> String {
        let address = self.address;
        match error.kind() {
            ErrorKind::ConnectionRefused => format!(
                "nothing takes connections at {address}: start the proxy, or say where it is with \
                 --connect ADDR:PORT"
            ),
            ErrorKind::TimedOut
            | ErrorKind::WouldBlock
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable => format!(
                "nothing answers at {address}: see whether the proxy is there and no firewall \
                 before it, or say where it is with --connect ADDR:PORT"
            ),
            _ if is_mistrust(error) => "--ca FILE says which certificate to trust, --connect \
                                        ADDR:PORT where the host is"
                .to_owned(),
            _ => format!(
                "see whether it is the proxy that listens at {address}, and speaks https there; \
                 --connect ADDR:PORT says where it is"
            ),
        }
    }

    /// Sends a GET of `/` without TLS, to another port.
    pub(super) fn ask_plainly(&self, port: u16) -> io::Result<Answer> {
        let socket = connect(SocketAddr::new(self.address.ip(), port))?;
        let limit = socket.try_clone()?;
        let sent = Sent {
            method: "GET",
            target: "/",
            host: &self.host,
            fields: &[],
            body: "",
        };
        exchange(socket, &limit, &sent)
    }

    /// Whether anything accepts connections on another port.
    pub(super) fn is_open(&self, port: u16) -> bool {
        connect(SocketAddr::new(self.address.ip(), port)).is_ok()
    }

    /// Whether the host is this very machine: only its own addresses can be bound here.
    pub(super) fn leads_here(&self) -> bool {
        UdpSocket::bind(SocketAddr::new(self.address.ip(), 0)).is_ok()
    }
}

impl Sent<'_> {
    fn to_text(&self) -> String {
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: auth_user-doctor\r\n",
            self.method, self.target, self.host
        );
        for (name, usual) in [("Accept:", "text/html"), ("Connection:", "close")] {
            if !self.fields.iter().any(|field| field.starts_with(name)) {
                text.push_str(&format!("{name} {usual}\r\n"));
            }
        }
        if !self.body.is_empty() {
            let length = self.body.len();
            text.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        for field in self.fields {
            text.push_str(field);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text + self.body
    }
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    pub(super) fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        head.split("\r\n").skip(1).filter_map(move |line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn body(&self) -> &str {
        self.text
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
    }

    /// Whether something was served: an empty 2xx gives nothing away.
    pub(super) fn serves(&self) -> bool {
        (200..300).contains(&self.status) && !self.body().trim().is_empty()
    }

    /// Whether the visitor was turned away in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.status == other.status && self.field("location") == other.field("location")
    }

    /// Whether the answer is complete, as far as its head tells. A switch of protocols or a tunnel
    /// ends with the head.
    fn is_whole(&self, method: &str) -> bool {
        let Some((_, body)) = self.text.split_once("\r\n\r\n") else {
            return false;
        };
        let tunnels = method == "CONNECT" && (200..300).contains(&self.status);
        if tunnels || matches!(self.status, 101 | 204 | 304) {
            return true;
        }
        if self.field("transfer-encoding").is_some() {
            return body.ends_with("0\r\n\r\n");
        }
        let length = self.field("content-length");
        let length = length.and_then(|length| length.parse::<usize>().ok());
        length.is_some_and(|length| body.len() >= length)
    }
}

/// A host without the brackets of an IPv6 address, as for looking it up and in certificates.
fn bare(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner
        .filter(|inner| inner.parse::<IpAddr>().is_ok())
        .unwrap_or(host)
}

/// Whether the error is that the certificate was refused.
fn is_mistrust(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(Error::InvalidCertificate(_)))
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, PATIENCE)
}

fn exchange(
    mut stream: impl io::Read + io::Write,
    socket: &TcpStream,
    request: &Sent<'_>,
) -> io::Result<Answer> {
    let end = Instant::now() + PATIENCE;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.to_text().as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    let is_whole = |answer: Answer| answer.is_whole(request.method);
    while bytes.len() < MAX_ANSWER && !answer(&bytes).is_some_and(is_whole) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            // Whatever came before is an answer, however the connection ended.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    answer(&bytes).ok_or_else(|| io::Error::other("no HTTP answer"))
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let rest = text.strip_prefix("HTTP/1.")?;
    let status = rest.get(2..5)?.parse().ok()?;
    Some(Answer { status, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_looked_up_without_brackets() {
        assert_eq!(bare("[::1]"), "::1");
        assert_eq!(bare("app.example.com"), "app.example.com");
        let trust = Trust::new(None);
        let Ok(trust) = trust else { return };
        let wire = Endpoint::to("[::1]", 8443, None, &trust).unwrap();
        assert_eq!(wire.address, "[::1]:8443".parse().unwrap());
        assert_eq!(wire.authority(), "[::1]:8443");
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let whole = |text: &str| answer(text.as_bytes()).unwrap().is_whole("GET");
        assert!(whole("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n"));
        assert!(whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        assert!(!whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"));
        assert!(whole(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ));
        assert!(!whole("HTTP/1.1 200 OK\r\n\r\nuntil it closes"));
        assert!(!whole("HTTP/1.1 200 OK\r\n"));
    }
}
