//! A real browser, and what people do with it. It finds things as people do, by what is written on
//! them: a field by its label, so that a field without one fails the test.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::harness::{Server, wait_for};

mod driver;
mod security_key;

use driver::Driver;

pub(crate) use security_key::SecurityKey;

/// A browser that trusts the server's certificate, those it was told of, and no other.
pub(crate) struct Browser {
    driver: Driver,
    /// What a path is opened at.
    pub(crate) base: String,
    /// Milliseconds between the two clicks of a double click.
    between: Cell<u32>,
}

/// The key WebDriver gives a reference to an element under.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    pub(crate) fn start(server: &Server) -> Self {
        Self::trusting(server, &[], true)
    }

    /// One whose owner has switched scripts off.
    pub(crate) fn without_scripts(server: &Server) -> Self {
        Self::trusting(server, &[], false)
    }

    /// One whose owner lets no site keep cookies.
    pub(crate) fn without_cookies(server: &Server) -> Self {
        let preferences = json!({ "profile.default_content_setting_values.cookies": 2 });
        Self::with(server, &[], preferences)
    }

    /// One that trusts more certificates than the server's.
    pub(crate) fn trusting(
        server: &Server,
        others: &[&CertificateDer<'static>],
        scripts: bool,
    ) -> Self {
        let preferences = if scripts {
            json!({})
        } else {
            json!({ "profile.managed_default_content_settings.javascript": 2 })
        };
        Self::with(server, others, preferences)
    }

    fn with(server: &Server, others: &[&CertificateDer<'static>], preferences: Value) -> Self {
        let keys: Vec<String> = others
            .iter()
            .copied()
            .chain([&server.certificate])
            .map(key_digest)
            .collect();
        let trust = format!("--ignore-certificate-errors-spki-list={}", keys.join(","));
        Self {
            driver: Driver::start(&[trust], &preferences),
            base: server.url(""),
            between: Cell::new(0),
        }
    }

    /// Opens a path of the server, or a URL.
    #[track_caller]
    pub(crate) fn open(&self, path: &str) {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.base)
        } else {
            path.to_owned()
        };
        self.post("/url", &json!({ "url": url }));
    }

    /// Types into the field with this label, in place of what is in it.
    #[track_caller]
    pub(crate) fn fill(&self, label: &str, text: &str) {
        let field = self.field(label);
        self.post(&format!("/element/{field}/clear"), &json!({}));
        self.post(&format!("/element/{field}/value"), &json!({ "text": text }));
    }

    /// What is in the field with this label.
    #[track_caller]
    pub(crate) fn filled(&self, label: &str) -> String {
        let field = self.field(label);
        self.get_text(&format!("/element/{field}/property/value"))
    }

    #[track_caller]
    fn field(&self, label: &str) -> String {
        self.shown(&format!(
            "//input[@id = //label[normalize-space() = '{label}']/@for]"
        ))
    }

    #[track_caller]
    pub(crate) fn press(&self, button: &str) {
        let button = format!("//button[normalize-space() = '{button}']");
        self.leave(|| self.click(&button));
    }

    /// Presses a button as one does whose finger is used to double clicks.
    #[track_caller]
    pub(crate) fn press_twice(&self, button: &str) {
        let button = self.shown(&format!("//button[normalize-space() = '{button}']"));
        let button = json!({ ELEMENT: button });
        self.run_with("arguments[0].scrollIntoView({ block: 'center' })", &button);
        let mut acts = vec![json!({ "type": "pointerMove", "x": 0, "y": 0, "origin": button })];
        for pause in [0, self.between.get()] {
            acts.push(json!({ "type": "pause", "duration": pause }));
            acts.push(json!({ "type": "pointerDown", "button": 0 }));
            acts.push(json!({ "type": "pointerUp", "button": 0 }));
        }
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": acts });
        self.leave(|| drop(self.post("/actions", &json!({ "actions": [mouse] }))));
    }

    /// Has every answer come so many milliseconds later, as over a line to far away. The second
    /// click of a double click comes meanwhile, when the first form has gone off.
    pub(crate) fn delay(&self, milliseconds: u32) {
        self.between.set(milliseconds / 3);
        let line = json!({
            "offline": false, "latency": milliseconds,
            "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.cdp("Network.enable", &json!({}));
        self.cdp("Network.emulateNetworkConditions", &line);
    }

    /// Puts a text where the focus is, as the clipboard does.
    #[track_caller]
    pub(crate) fn paste(&self, label: &str, text: &str) {
        let field = self.field(label);
        self.post(&format!("/element/{field}/clear"), &json!({}));
        self.post(&format!("/element/{field}/click"), &json!({}));
        self.cdp("Input.insertText", &json!({ "text": text }));
    }

    #[track_caller]
    pub(crate) fn follow(&self, link: &str) {
        let link = format!("//a[normalize-space() = '{link}']");
        self.leave(|| self.click(&link));
    }

    /// Sends the first form off as a script would.
    #[track_caller]
    pub(crate) fn submit(&self) {
        self.leave(|| drop(self.run("document.forms[0].submit()")));
    }

    #[track_caller]
    pub(crate) fn back(&self) {
        self.leave(|| drop(self.post("/back", &json!({}))));
    }

    #[track_caller]
    pub(crate) fn reload(&self) {
        self.leave(|| drop(self.post("/refresh", &json!({}))));
    }

    /// Opens another window of the same browser and goes on in it; gives the one it comes from.
    #[track_caller]
    pub(crate) fn open_window(&self) -> String {
        self.post("/window/new", &json!({ "type": "tab" }));
        self.turn_to_newest_window()
    }

    /// Opens a part of the page that is folded away under its summary.
    #[track_caller]
    pub(crate) fn unfold(&self, summary: &str) {
        self.click(&format!("//summary[normalize-space() = '{summary}']"));
    }

    /// Clicks on what is at this XPath, which leads nowhere or opens a window.
    #[track_caller]
    pub(crate) fn click(&self, path: &str) {
        let element = self.shown(path);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Does what leads to another page, and returns when the page at hand is gone: the driver waits
    /// only for what it has heard of, and on a busy machine that is too late.
    #[track_caller]
    pub(crate) fn leave(&self, act: impl FnOnce()) {
        let wanted = json!({ "using": "xpath", "value": "/*" });
        let root = self.post("/element", &wanted);
        let there = format!("/element/{}/name", root[ELEMENT].as_str().unwrap());
        act();
        wait_for("the page to be left", || self.driver.get(&there).err());
    }

    /// The one element at this XPath that can be seen.
    #[track_caller]
    pub(crate) fn shown(&self, path: &str) -> String {
        let wanted = json!({ "using": "xpath", "value": path });
        let found = self.post("/elements", &wanted);
        let mut seen = found
            .as_array()
            .unwrap()
            .iter()
            .map(|element| element[ELEMENT].as_str().unwrap().to_owned())
            .filter(|element| self.get(&format!("/element/{element}/displayed")) == true);
        let element = seen.next();
        assert!(seen.next().is_none(), "more than one {path}");
        element.unwrap_or_else(|| panic!("no {path} at {}:\n{}", self.url(), self.text()))
    }

    /// What one reads on the page, line by line.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        self.text_of("//body")
    }

    /// What one reads in the first element at this XPath.
    #[track_caller]
    pub(crate) fn text_of(&self, path: &str) -> String {
        let found = self.post("/element", &json!({ "using": "xpath", "value": path }));
        let element = found[ELEMENT].as_str().unwrap();
        self.get_text(&format!("/element/{element}/text"))
    }

    /// What one reads in a frame, counted from 0 in the order of the page.
    #[track_caller]
    pub(crate) fn text_of_frame(&self, number: usize) -> String {
        self.post("/frame", &json!({ "id": number }));
        let text = self.text();
        self.post("/frame", &json!({ "id": null }));
        text
    }

    /// Fails the test unless the page says this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        let page = self.text();
        assert!(page.contains(text), "{text:?} at {}:\n{page}", self.url());
    }

    #[track_caller]
    pub(crate) fn title(&self) -> String {
        self.get_text("/title")
    }

    #[track_caller]
    pub(crate) fn url(&self) -> String {
        self.get_text("/url")
    }

    /// The cookies that the page at hand would send, with their attributes.
    #[track_caller]
    pub(crate) fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").as_array().unwrap().clone()
    }

    /// Types keys wherever the focus is, as somebody without a mouse does. Keys without a letter
    /// are WebDriver's (section 17.4.2), such as U+E004 for Tab.
    #[track_caller]
    pub(crate) fn keys(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let key = key.to_string();
            [
                json!({ "type": "keyDown", "value": key }),
                json!({ "type": "keyUp", "value": key }),
            ]
        });
        let strokes: Vec<Value> = strokes.collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// What the browser has complained of since this was asked last.
    #[track_caller]
    pub(crate) fn console(&self) -> Vec<String> {
        let lines = self.post("/se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().unwrap().iter();
        lines
            .filter(|line| line["level"] != "INFO")
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The text of a dialog, if one is open.
    pub(crate) fn dialog(&self) -> Option<String> {
        let text = self.driver.get("/alert/text").ok()?;
        text.as_str().map(str::to_owned)
    }

    /// Runs a script as the page would and gives what it returns, waiting for a promise.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.run_with(script, &Value::Null)
    }

    /// As [`Browser::run`], with something the script finds in `arguments[0]`.
    #[track_caller]
    pub(crate) fn run_with(&self, script: &str, argument: &Value) -> Value {
        let call = json!({ "script": script, "args": [argument] });
        self.post("/execute/sync", &call)
    }

    /// Whether scripts of a page run at all.
    pub(crate) fn runs_scripts(&self) -> bool {
        self.open("data:text/html,<title>off</title><script>document.title='on'</script>");
        self.title() == "on"
    }

    /// A command of the browser's own protocol (Chrome `DevTools`).
    #[track_caller]
    pub(crate) fn cdp(&self, command: &str, parameters: &Value) -> Value {
        let asked = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &asked)
    }

    /// Prefers `dark` or `light`, and that nothing moves, so that pictures are of what stays.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.cdp(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// Makes the page this wide and high, as on a phone if it is narrow.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let screen = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.cdp("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// A picture of the page in all its length, as PNG, or as WebP if the path says so, which takes
    /// a tenth of the room.
    #[track_caller]
    pub(crate) fn screenshot(&self, path: &Path) {
        let mut whole = match path.extension() {
            Some(webp) if webp == "webp" => json!({ "format": "webp", "quality": 35 }),
            _ => json!({ "format": "png" }),
        };
        whole["captureBeyondViewport"] = true.into();
        let picture = self.cdp("Page.captureScreenshot", &whole);
        let picture = picture["data"].as_str().unwrap();
        fs::write(path, BASE64_STANDARD.decode(picture).unwrap()).unwrap();
    }

    /// Says which folder files are saved to.
    pub(crate) fn save_to(&self, folder: &Path) {
        self.cdp(
            "Browser.setDownloadBehavior",
            &json!({ "behavior": "allow", "downloadPath": folder }),
        );
    }

    /// What an authenticator app reads when its camera looks at the screen.
    #[track_caller]
    pub(crate) fn scanned(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("screen.png");
        self.screenshot(&picture);
        let reader = Command::new("zbarimg")
            .args(["--quiet", "--raw"])
            .arg(&picture)
            .output()
            .unwrap_or_else(|error| panic!("zbarimg: {error}; tests/setup installs it"));
        String::from_utf8(reader.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Goes on in the newest window, and gives the one it comes from.
    #[track_caller]
    pub(crate) fn turn_to_newest_window(&self) -> String {
        let from = self.get_text("/window");
        let windows = self.get("/window/handles");
        let newest = windows.as_array().unwrap().last().unwrap();
        self.post("/window", &json!({ "handle": newest }));
        from
    }

    /// Closes the window at hand and goes on in another.
    #[track_caller]
    pub(crate) fn close_window(&self, back_to: &str) {
        self.driver.delete("/window").unwrap();
        self.post("/window", &json!({ "handle": back_to }));
    }

    #[track_caller]
    fn get(&self, command: &str) -> Value {
        let answer = self.driver.get(command);
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    #[track_caller]
    fn get_text(&self, command: &str) -> String {
        self.get(command).as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn post(&self, command: &str, values: &Value) -> Value {
        let answer = self.driver.post(command, values);
        answer.unwrap_or_else(|error| panic!("{command} {values}: {error}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            let console = self.driver.post("/se/log", &json!({ "type": "browser" }));
            eprintln!("--- browser console ---\n{console:#?}");
        }
    }
}

/// How Chromium names the one key it is to trust: the digest of what RFC 5280, section 4.1, calls
/// the `SubjectPublicKeyInfo`.
fn key_digest(certificate: &CertificateDer<'static>) -> String {
    let (_, certificate) = X509Certificate::from_der(certificate).unwrap();
    BASE64_STANDARD.encode(Sha256::digest(certificate.public_key().raw))
}
