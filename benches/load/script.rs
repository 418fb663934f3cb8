//! A Python server that serves https on port 8000 from its own directory, with a `server.crt`
//! beside it.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::servers::Server;

pub(crate) const NAME: &str = "the script";
const PORT: u16 = 8000;

/// The one named in the environment; none if there is none.
pub(crate) fn start() -> Option<Server> {
    let path = PathBuf::from(env::var_os("BENCH_SCRIPT")?);
    let path = fs::canonicalize(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let dir = path.parent().unwrap();
    let certificate = CertificateDer::from_pem_file(dir.join("server.crt")).unwrap();
    drop(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("port 8000 is taken"));
    let child = Command::new("python3")
        .arg(&path)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("BENCH_SCRIPT needs python3");
    let script = Server {
        name: NAME,
        page: "/",
        child,
        _stdout: None,
        port: PORT,
        certificate,
        dir: None,
    };
    script.wait_for_page();
    Some(script)
}
