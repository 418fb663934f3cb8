//! The process that drives a browser, and the protocol it speaks: JSON over HTTP (W3C WebDriver).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::PATIENCE;

/// One chromedriver with one browser, in a profile that nobody has used before. Both are gone when
/// it is dropped.
pub(super) struct Driver {
    child: Child,
    /// Kept open: the driver may write to it.
    _stdout: BufReader<ChildStdout>,
    agent: ureq::Agent,
    /// Where the commands of this session go.
    session: String,
    /// Holds what the browser keeps, and the driver's log.
    profile: TempDir,
}

impl Driver {
    /// On a machine under load a driver or its browser sometimes ends while it starts, before it
    /// has seen anything of ours. Others are then started instead, and who fails thrice is shown.
    pub(super) fn start(arguments: &[String], preferences: &Value) -> Self {
        let started = (0..3).find_map(|_| {
            let driver = Self::try_start(arguments, preferences);
            driver.map_err(|error| eprintln!("{error}")).ok()
        });
        started.expect("a browser starts")
    }

    fn try_start(arguments: &[String], preferences: &Value) -> Result<Self, String> {
        let chromium = find("chromium");
        let profile = tempfile::tempdir().unwrap();
        let log = profile.path().join("driver.log");
        let mut child = Command::new(find("chromedriver"))
            .arg("--port=0")
            .arg(format!("--log-path={}", log.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let port = announced_port(&mut stdout);
        let mut driver = Self {
            child,
            _stdout: stdout,
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_global(Some(PATIENCE))
                .build()
                .into(),
            session: format!("http://127.0.0.1:{}/session", port.unwrap_or_default()),
            profile,
        };

        let data = driver.profile.path().join("data");
        let mut all = vec![format!("--user-data-dir={}", data.display())];
        all.extend(FLAGS.iter().map(|flag| (*flag).to_owned()));
        all.extend_from_slice(arguments);
        let capabilities = json!({
            "browserName": "chrome",
            // A dialog stays until a test has looked for it.
            "unhandledPromptBehavior": "ignore",
            "goog:chromeOptions": { "binary": chromium, "args": all, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let begun = driver.ask("POST", "", Some(&asked)).map_err(|error| {
            let log = fs::read_to_string(log).unwrap_or_default();
            format!("no browser: {error}\n--- driver log ---\n{log}---")
        })?;
        let id = begun["sessionId"].as_str().unwrap();
        driver.session = format!("{}/{id}", driver.session);
        Ok(driver)
    }

    /// A command that takes no values. Its answer, or the driver's name for what went wrong.
    pub(super) fn get(&self, command: &str) -> Result<Value, String> {
        self.ask("GET", command, None)
    }

    pub(super) fn post(&self, command: &str, values: &Value) -> Result<Value, String> {
        self.ask("POST", command, Some(values))
    }

    pub(super) fn delete(&self, command: &str) -> Result<Value, String> {
        self.ask("DELETE", command, None)
    }

    fn ask(&self, method: &str, command: &str, values: Option<&Value>) -> Result<Value, String> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{command}", self.session));
        let body = values.map(Value::to_string).unwrap_or_default();
        let answer = self.agent.run(request.body(body).unwrap());
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = answer
            .body_mut()
            .with_config()
            .limit(1 << 26)
            .read_to_string();
        let mut json: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let value = json["value"].take();
        match value["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", value["message"])),
            None => Ok(value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ends the browser and all it has started, and returns when they have.
        let _ = self.delete("");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every browser is started with: no window, and no errands of its own.
const FLAGS: &[&str] = &[
    "--headless=new",
    // Root has no sandbox; nothing here comes from strangers.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    // Names of this machine only, and `.test` is this machine too.
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    // The browser ends with its driver, however that ends.
    "--remote-debugging-pipe",
];

/// The driver's own word for where it listens: no port is guessed and nothing sleeps.
/// `None` if it ended before it listened.
fn announced_port(stdout: &mut BufReader<ChildStdout>) -> Option<u16> {
    let lines = stdout.lines().map(Result::unwrap);
    let mut ports = lines.filter_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        Some(port.trim_end_matches('.').parse().unwrap())
    });
    ports.next()
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is missing; tests/setup installs it"))
}
