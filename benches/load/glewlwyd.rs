//! Glewlwyd, a login server in C over libmicrohttpd and GnuTLS, as Debian's package `glewlwyd`
//! brings it, with an SQLite database of its own in a directory of its own.
//!
//! Its page is our page, as a file in its web folder, with the fields it gives to every file. Its
//! session check is `/api/profile_list`, which names who is logged in from the session's cookie.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::client::{Answer, KeyExchange, source};
use crate::servers::{Pair, Server, free_port};

pub(crate) const NAME: &str = "Glewlwyd";
/// Where its session check is.
pub(crate) const CHECK: &str = "/api/profile_list";

/// The tables, and the account `admin` with the password `password`: part of Debian's package.
const SCHEMA: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";

/// None if there is no Glewlwyd here.
pub(crate) fn version() -> Option<String> {
    Command::new("glewlwyd").arg("--version").output().ok()?;
    let there =
        Path::new(SCHEMA).exists() && Command::new("sqlite3").arg("-version").output().is_ok();
    there.then(|| NAME.to_owned())
}

/// Serves `page` at one path. None if there is no Glewlwyd here.
pub(crate) fn start(pair: &Pair, page: &Answer) -> Option<Server> {
    start_with(pair, &page.body, 0)
}

/// With as many accounts more in its database.
pub(crate) fn start_with(pair: &Pair, page: &[u8], accounts: usize) -> Option<Server> {
    version()?;
    let dir = tempfile::tempdir().unwrap();
    pair.write(dir.path());
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::write(dir.path().join("root/page.html"), page).unwrap();
    make_database(dir.path(), accounts).unwrap();
    Some(start_in(dir, pair))
}

/// In a directory that one has been started in before, or that is prepared.
pub(crate) fn start_in(dir: tempfile::TempDir, pair: &Pair) -> Server {
    let port = free_port();
    let file = dir.path().join("glewlwyd.conf");
    fs::write(&file, configuration(port, dir.path())).unwrap();
    let log = File::create(dir.path().join("log")).unwrap();
    let child = Command::new("glewlwyd")
        .arg("--config-file")
        .arg(file)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let server = Server {
        name: NAME,
        page: "/page.html",
        child,
        _stdout: None,
        port,
        certificate: pair.certificate(),
        dir: Some(dir),
    };
    server.wait_for_page();
    server
}

/// Logs the one account in and gives the field with its cookie.
pub(crate) fn log_in(server: &Server) -> io::Result<String> {
    let body = r#"{"username": "admin", "password": "password"}"#;
    let length = body.len();
    let request = format!(
        "POST /api/auth/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let mut connection = server.peer(KeyExchange::AsBrowsers).connect(source(0))?;
    let answer = connection.ask(request.as_bytes())?;
    let cookies = answer.cookies();
    let cookie = cookies.first().ok_or(ErrorKind::InvalidData)?;
    Ok(format!("Cookie: {cookie}\r\n"))
}

fn make_database(dir: &Path, accounts: usize) -> io::Result<()> {
    let mut statements = fs::read_to_string(SCHEMA)?;
    statements.push_str(&format!(
        "\nWITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {accounts})\n\
         INSERT INTO g_user (gu_username, gu_name, gu_email, gu_enabled)\n\
         SELECT 'user' || n, 'User', 'user' || n || '@example.com', 1 FROM n WHERE n <= {accounts};\n"
    ));
    fs::write(
        dir.join("schema.sql"),
        format!("BEGIN;\n{statements}COMMIT;\n"),
    )?;
    let made = Command::new("sqlite3")
        .args(["-bail", "database"])
        .current_dir(dir)
        .stdin(File::open(dir.join("schema.sql"))?)
        .status()?;
    assert!(made.success(), "sqlite3 did not take {SCHEMA}");
    Ok(())
}

/// The least it starts with; what is left out is as its authors have it.
fn configuration(port: u16, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"port = {port}
bind_address = "127.0.0.1"
external_url = "https://localhost:{port}/"
login_url = "page.html"
api_prefix = "api"
static_files_path = "{dir}/root/"
static_files_mime_types = ({{ extension = ".html" mime_type = "text/html; charset=utf-8" }})
log_mode = "console"
log_level = "ERROR"
cookie_secure = 1
session_key = "session"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "/usr/lib/glewlwyd/user"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
use_secure_connection = true
secure_connection_key_file = "{dir}/server.key"
secure_connection_pem_file = "{dir}/server.crt"
hash_algorithm = "SHA512"
database = {{ type = "sqlite3" path = "{dir}/database" }}
"#
    )
}
