//! nginx with its defaults, serving our page as a static file.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::client::Answer;
use crate::servers::{Pair, Server, free_port};

pub(crate) const NAME: &str = "nginx";

/// None if there is no nginx here.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    Some(said.trim().trim_start_matches("nginx version: ").to_owned())
}

/// Serves `page` at every path, with the fields it came with. None if there is no nginx here.
pub(crate) fn start(pair: &Pair, page: &Answer) -> Option<Server> {
    let dir = tempfile::tempdir().unwrap();
    // Its workers may run as somebody else.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    pair.write(dir.path());
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::write(dir.path().join("root/page"), &page.body).unwrap();
    let port = free_port();
    fs::write(dir.path().join("nginx.conf"), configuration(port, page)).unwrap();

    let child = Command::new("nginx")
        .args(["-e", "log", "-c", "nginx.conf", "-p"])
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => panic!("cannot start nginx: {error}"),
    };
    let server = Server {
        name: NAME,
        page: "/login",
        child,
        _stdout: None,
        port,
        certificate: pair.certificate(),
        dir: Some(dir),
    };
    let answer = server.wait_for_page();
    assert!(answer.body == page.body, "{}", answer.head);
    Some(server)
}

fn configuration(port: u16, page: &Answer) -> String {
    let mut fields = String::new();
    for (name, value) in page.fields() {
        // This it makes itself.
        if name != "Content-Type" {
            writeln!(fields, "    add_header {name} \"{value}\";").unwrap();
        }
    }
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("  {what}_temp_path tmp;\n"))
        .collect();
    format!(
        "daemon off;\nworker_processes auto;\npid nginx.pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n{paths}\
         \x20 access_log off;\n  sendfile on;\n  keepalive_requests 1000000000;\n\
         \x20 default_type \"text/html; charset=utf-8\";\n\
         \x20 server {{\n    listen 127.0.0.1:{port} ssl;\n    root root;\n\
         \x20   ssl_protocols TLSv1.3;\n\
         \x20   ssl_certificate server.crt;\n    ssl_certificate_key server.key;\n\
         {fields}    location / {{ try_files /page =404; }}\n  }}\n}}\n"
    )
}
