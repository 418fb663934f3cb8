//! A small server of hyper, tokio and rustls that serves our page from memory: what the same work
//! costs with one task a connection in place of one thread, and with nothing to decide.
//!
//! It runs in a process of its own, which is this program started anew.

use std::convert::Infallible;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::client::Answer;
use crate::servers::{Pair, Server};

pub(crate) const NAME: &str = "hyper";

/// Starts this program as a server with the directory that follows.
const ARGUMENT: &str = "--serve-with-hyper-in";

/// Serves `page` at every path, with the fields it came with.
pub(crate) fn start(pair: &Pair, page: &Answer) -> Server {
    let dir = tempfile::tempdir().unwrap();
    pair.write(dir.path());
    fs::write(dir.path().join("page"), &page.body).unwrap();
    let fields: String = page
        .fields()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    fs::write(dir.path().join("fields"), fields).unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .arg(ARGUMENT)
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut port = String::new();
    stdout.read_line(&mut port).unwrap();
    let server = Server {
        name: NAME,
        page: "/login",
        child,
        _stdout: Some(stdout),
        port: port.trim().parse().unwrap(),
        certificate: pair.certificate(),
        dir: Some(dir),
    };
    let answer = server.wait_for_page();
    assert!(answer.body == page.body, "{}", answer.head);
    server
}

/// The directory to serve from, if this process was started to be the server.
pub(crate) fn asked_for() -> Option<PathBuf> {
    let mut arguments = env::args_os().skip_while(|argument| argument != ARGUMENT);
    arguments.nth(1).map(PathBuf::from)
}

/// Serves until the process is ended.
pub(crate) fn serve(dir: &Path) {
    let fields = fields(&fs::read_to_string(dir.join("fields")).unwrap());
    let page = Bytes::from(fs::read(dir.join("page")).unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(tls(dir)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (acceptor, fields, page) = (acceptor.clone(), fields.clone(), page.clone());
            tokio::spawn(async move {
                // Whoever breaks off is not served.
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                let answer = service_fn(move |_| {
                    let mut response = Response::new(Full::new(page.clone()));
                    *response.headers_mut() = fields.clone();
                    async move { Ok::<_, Infallible>(response) }
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                let _ = connection.await;
            });
        }
    });
}

fn fields(text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        fields.append(name, value.parse().unwrap());
    }
    fields
}

fn tls(dir: &Path) -> rustls::ServerConfig {
    let certificate = CertificateDer::from_pem_file(dir.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap()
}
