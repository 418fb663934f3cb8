//! The load: a blocking client over TLS 1.3 that trusts exactly one certificate, and does not
//! resume unless told to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    SignatureScheme, StreamOwned,
};

/// How long an answer may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which keys are agreed on in the handshake.
#[derive(Clone, Copy)]
pub(crate) enum KeyExchange {
    /// X25519MLKEM768 for servers that know it, else X25519; so do browsers.
    AsBrowsers,
    /// The same work for every server.
    X25519,
}

/// A server to load.
#[derive(Clone)]
pub(crate) struct Peer {
    port: u16,
    config: Arc<ClientConfig>,
}

/// One connection after its handshake.
pub(crate) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// One of the many addresses of loopback, so that clients count as different ones.
pub(crate) fn source(n: usize) -> Ipv4Addr {
    let [.., high, low] = u32::try_from(n + 2).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 0, high, low)
}

impl Peer {
    pub(crate) fn new(port: u16, certificate: &CertificateDer<'static>, keys: KeyExchange) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        // What browsers ask for first, and every server has.
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        if let KeyExchange::X25519 = keys {
            provider.kx_groups = vec![kx_group::X25519];
        }
        let provider = Arc::new(provider);
        let verifier = Pinned {
            certificate: certificate.clone(),
            provider: Arc::clone(&provider),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self {
            port,
            config: Arc::new(config),
        }
    }

    /// One that remembers tickets and offers them; they are not shared with others.
    pub(crate) fn with_tickets(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(8);
        Self {
            port: self.port,
            config: Arc::new(config),
        }
    }

    /// Connects from `source` and shakes hands.
    pub(crate) fn connect(&self, source: Ipv4Addr) -> io::Result<Connection> {
        let mut socket = self.socket(source)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Connection {
            stream: StreamOwned::new(tls, socket),
            buffer: vec![0; 16 * 1024],
        })
    }

    /// std cannot choose where a connection comes from.
    fn socket(&self, source: Ipv4Addr) -> io::Result<TcpStream> {
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port))?;
        Ok(TcpStream::from(socket))
    }
}

impl Connection {
    /// Sends a request in one write and reads its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let end = loop {
            filled += self.read_at(filled)?;
            if let Some(end) = end_of_head(&self.buffer[..filled]) {
                break end;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let total = length(&head).map(|length| end + length);
        while total.is_none_or(|total| filled < total) {
            match self.read_at(filled) {
                Ok(count) => filled += count,
                // Without a length the answer ends with the connection.
                Err(error) if total.is_none() && error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.ok_or(ErrorKind::InvalidData)?,
            head,
            body: self.buffer[end..filled].to_vec(),
        })
    }

    /// Whether the server knew it from an earlier one.
    pub(crate) fn was_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    fn read_at(&mut self, filled: usize) -> io::Result<usize> {
        if filled == self.buffer.len() {
            self.buffer.resize(2 * filled, 0);
        }
        match self.stream.read(&mut self.buffer[filled..])? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

impl Answer {
    /// Its fields, without those that every server makes itself.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.head.lines().filter_map(|line| line.split_once(": "));
        all.filter(|(name, _)| !["Date", "Content-Length", "Connection"].contains(name))
    }

    /// The cookies it sets, as they are sent back.
    pub(crate) fn cookies(&self) -> Vec<&str> {
        let set = self
            .head
            .lines()
            .filter_map(|line| line.strip_prefix("Set-Cookie: "));
        set.filter_map(|cookie| cookie.split(';').next()).collect()
    }
}

/// A GET as a program sends it.
pub(crate) fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").into_bytes()
}

/// A form as a program sends it that wants JSON back.
pub(crate) fn post(path: &str, cookies: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{cookies}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|start| start + 4)
}

fn length(head: &str) -> Option<usize> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}

/// Trusts one certificate, whatever it says of itself, if its key signs the handshake.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *certificate == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
