//! What a page of somebody else can make a real browser do to us: of another site, and of the same
//! site on another port, to which `SameSite` is no obstacle.

use std::fs;

use serde_json::{Value, json};

use crate::browser::stranger::Stranger;
use crate::harness::{Accept, Authenticator, Browser, PASSWORD, Server, Visitor, wait_for};

/// The names the stranger's site is reached by.
const ORIGINS: [&str; 2] = ["evil.test", "localhost"];

/// A browser that trusts both sites.
fn browser(server: &Server, stranger: &Stranger) -> Browser {
    Browser::trusting(server, &[&stranger.certificate], true)
}

/// Logs a browser in to an account, and gives a program with the same cookies.
fn log_in(server: &Server, browser: &Browser, authenticator: &Authenticator) -> Visitor {
    browser.open("/login");
    browser.fill("Username", "alice");
    browser.fill("Password", PASSWORD);
    browser.press("Continue");
    browser.fill("Code", &authenticator.code());
    browser.press("Log in");
    browser.says("Your account");
    twin(server, browser)
}

/// A program with the browser's cookies.
fn twin(server: &Server, browser: &Browser) -> Visitor {
    let twin = Visitor::program(server);
    for cookie in browser.cookies() {
        let text = |key: &str| cookie[key].as_str().unwrap().to_owned();
        twin.cookies
            .borrow_mut()
            .insert(text("name"), text("value"));
    }
    twin
}

/// A form with hidden fields, as a stranger would put it on a page.
fn form(action: &str, fields: &[(&str, String)], target: &str) -> String {
    let inputs: String = fields
        .iter()
        .map(|(name, value)| format!("<input type=hidden name='{name}' value='{value}'>"))
        .collect();
    format!("<form method=post action='{action}' target='{target}'>{inputs}</form>")
}

/// Every form of the site, filled in rightly, so that only the defence is in the way.
struct Forms(Vec<(&'static str, Vec<(&'static str, String)>)>);

impl Forms {
    fn new(recovery_codes: &[String], pending: &str, moving: &str) -> Self {
        let text = str::to_owned;
        let password = || ("current_password", text(PASSWORD));
        let code = |n: usize| ("secret", recovery_codes[n].clone());
        Self(vec![
            (
                "/register",
                vec![
                    ("username", text("zoe")),
                    ("email", text("zoe@example.com")),
                    ("password", text(PASSWORD)),
                ],
            ),
            (
                "/login",
                vec![("username", text("mallory")), ("password", text(PASSWORD))],
            ),
            ("/secret_key", vec![("secret", text(pending))]),
            ("/forgot_password", vec![("username", text("alice"))]),
            (
                "/account/email",
                vec![("email", text("mallory@example.com")), password()],
            ),
            ("/account/recovery_codes", vec![password(), code(2)]),
            (
                "/account/password",
                vec![password(), ("new_password", text("eight tame cows"))],
            ),
            ("/account/totp", vec![password(), code(0)]),
            ("/account/totp/confirm", vec![("secret", text(moving))]),
            ("/login/passkey", vec![("client", text("AAAA"))]),
            ("/secret_key/passkey", vec![("client", text("AAAA"))]),
            ("/account/passkeys", vec![password(), code(0)]),
            ("/account/passkeys/confirm", vec![("client", text("AAAA"))]),
            ("/account/passkeys/remove", vec![password()]),
            ("/account/sessions/end", vec![("session", text("others"))]),
            ("/logout", vec![]),
            ("/account/delete", vec![password(), code(1)]),
        ])
    }
}

/// Posts every form without leaving the page: into a frame, from a frame without an origin, by
/// `fetch` and by beacon. Returns when all but the beacons have been answered.
const POST_EVERYTHING: &str = "
const forms = arguments[0], settled = [];
const loaded = frame => new Promise(done => frame.onload = done);
for (const [url, fields] of forms) {
    const body = new URLSearchParams(fields);
    navigator.sendBeacon(url, body);
    for (const mode of ['no-cors', 'cors']) {
        settled.push(fetch(url, {method: 'POST', mode, credentials: 'include', body})
            .then(answer => answer.type === 'opaque' ? 'unreadable' : 'read', () => 'refused'));
    }
    const html = `<form method=post action='${url}'>` + fields.map(([name, value]) =>
        `<input type=hidden name='${name}' value='${value}'>`).join('') + '</form>';
    const plain = document.createElement('iframe');
    plain.name = 'frame' + settled.length;
    document.body.append(plain);
    const holder = document.createElement('div');
    holder.innerHTML = html;
    document.body.append(holder);
    settled.push(loaded(plain).then(() => 'loaded'));
    holder.firstChild.target = plain.name;
    holder.firstChild.submit();
    const nameless = document.createElement('iframe');
    nameless.sandbox = 'allow-forms allow-scripts';
    nameless.srcdoc = html + '<script>document.forms[0].submit()</script>';
    document.body.append(nameless);
}
return Promise.all(settled);
";

/// How often each form reaches the server by [`POST_EVERYTHING`]: the beacon, two fetches, two
/// frames.
const WAYS: usize = 5;

fn refusals(server: &Server, path: &str) -> usize {
    let event = format!("event=\"{}\"", path.trim_start_matches('/'));
    server
        .log()
        .lines()
        .filter(|line| line.contains(&event) && line.contains("cross_site"))
        .count()
}

#[test]
fn no_form_of_ours_can_be_posted_from_elsewhere() {
    let server = Server::start();
    let stranger = Stranger::start();
    let (alice, authenticator) = Visitor::with_account(&server, "alice");
    Visitor::with_account(&server, "mallory");
    let recovery_codes = alice.new_recovery_codes();
    authenticator.forget(&server, "alice");
    let browser = browser(&server, &stranger);
    let twin = log_in(&server, &browser, &authenticator);
    // She is also moving to a new phone, and logging in once more.
    let begun = twin.post(
        "/account/totp",
        &[
            ("current_password", PASSWORD),
            ("secret", &recovery_codes[2]),
        ],
    );
    begun.expect("enrol_required");
    let key = begun.json()["secret"].as_str().unwrap().to_owned();
    begin_login(&browser, "alice");
    let twin = self::twin(&server, &browser);
    let forms = Forms::new(&recovery_codes, &recovery_codes[3], &lasting_code(&key));
    let users = server.users();
    let cookies = twin.cookies.borrow().clone();

    for (n, host) in ORIGINS.into_iter().enumerate() {
        post_each_in_the_window(&server, &stranger, &browser, host, &forms);
        stranger.serves("/all", "<!DOCTYPE html><body>");
        browser.open(&stranger.at(host, "/all"));
        let targets: Vec<Value> = forms
            .0
            .iter()
            .map(|(path, fields)| json!([server.url(path), fields]))
            .collect();
        let came = browser.run_with(POST_EVERYTHING, &json!(targets));
        let came: Vec<&str> = came
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(!came.contains(&"read"), "{host}: {came:?}");
        for (path, _) in &forms.0 {
            let expected = (n + 1) * (WAYS + 2);
            wait_for(
                &format!("{expected} refusals of {path} from {host}"),
                || (refusals(&server, path) == expected).then_some(()),
            );
        }
    }

    assert_eq!(server.users(), users);
    assert!(alice.is_logged_in(), "no session was ended");
    browser.open("/account");
    browser.says("alice@example.com");
    let kept = self::twin(&server, &browser).cookies;
    assert_eq!(*kept.borrow(), cookies, "nothing was set or taken away");
    assert!(!has_mail(&server, "Your new password"));
    // Both things she had begun can still be finished.
    browser.open("/secret_key");
    browser.says("Enter your code");
    twin.post(
        "/account/totp/confirm",
        &[("secret", &Authenticator::new(&key).code())],
    )
    .expect("authenticator_changed");
}

/// Posts the first step of a login from a page of ours, which shows no form for it to who is logged
/// in.
fn begin_login(browser: &Browser, name: &str) {
    let fields = [("username", name), ("password", PASSWORD)];
    let fields = fields.map(|(name, value)| (name, value.to_owned()));
    let form = form("/login", &fields, "_self");
    // One without our script, which lets nobody make HTML of a text.
    browser.open("/account/password");
    browser.run_with("document.body.innerHTML = arguments[0]", &json!(form));
    browser.submit();
    browser.says("Enter your code");
}

/// The code that is good for longest from now.
fn lasting_code(key: &str) -> String {
    let phone = Authenticator::new(key);
    phone.code();
    phone.code();
    phone.code()
}

fn has_mail(server: &Server, subject: &str) -> bool {
    let subject = format!("Subject: {subject}\r\n");
    fs::read_dir(server.path("outbox"))
        .into_iter()
        .flatten()
        .any(|entry| {
            fs::read_to_string(entry.unwrap().path())
                .unwrap()
                .contains(&subject)
        })
}

/// Posts each form in the window itself, directly and by way of a redirect that keeps the method.
fn post_each_in_the_window(
    server: &Server,
    stranger: &Stranger,
    browser: &Browser,
    host: &str,
    forms: &Forms,
) {
    for (path, fields) in &forms.0 {
        stranger.redirects("/bounce", 307, &server.url(path));
        for action in [server.url(path), stranger.at(host, "/bounce")] {
            stranger.serves("/form", &form(&action, fields, "_self"));
            browser.open(&stranger.at(host, "/form"));
            browser.submit();
            browser.says("This request came from another site.");
            assert_eq!(browser.url(), server.url(path));
        }
    }
}

#[test]
fn nobody_is_logged_out_from_elsewhere() {
    let server = Server::start();
    let stranger = Stranger::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = browser(&server, &stranger);
    let twin = log_in(&server, &browser, &authenticator);
    let logout = server.url("/logout");
    stranger.redirects("/away", 302, &logout);
    let unseen = format!(
        "const logout = '{logout}', settled = [];
         const add = (name, fields) => settled.push(new Promise(done => {{
             const element = Object.assign(document.createElement(name), fields);
             element.onload = element.onerror = done;
             document.head.parentNode.append(element);
         }}));
         add('img', {{src: logout}});
         add('img', {{src: '/away'}});
         add('script', {{src: logout}});
         add('iframe', {{src: logout}});
         add('link', {{rel: 'stylesheet', href: logout}});
         add('link', {{rel: 'prefetch', href: logout}});
         for (const mode of ['no-cors', 'cors'])
             settled.push(fetch(logout, {{mode, credentials: 'include'}}).catch(() => 0));
         return Promise.all(settled).then(all => all.length);"
    );

    for host in ORIGINS {
        let page = format!(
            "<!DOCTYPE html><a href='{logout}'>here</a> <a href='/away'>there</a>
             <a href='{logout}' target=_blank rel=opener>new</a>"
        );
        stranger.serves("/page", &page);
        browser.open(&stranger.at(host, "/page"));
        assert_eq!(browser.run(&unseen), 8);
        for link in ["here", "there", "new"] {
            browser.open(&stranger.at(host, "/page"));
            if link == "new" {
                browser.click("//a[. = 'new']");
            } else {
                browser.follow(link);
            }
            let from = browser.turn_to_newest_window();
            wait_for("the page with the button", || {
                browser.turn_to_newest_window();
                (browser.url() == logout).then_some(())
            });
            browser.says("Log out?");
            if link == "new" {
                browser.close_window(&from);
            }
        }
        assert!(twin.is_logged_in(), "{host}");
    }

    // One's own address line is nobody else.
    browser.open("/logout");
    browser.says("You have successfully logged out.");
    assert!(!twin.is_logged_in());
}

/// The pages that show something, and what each says that nobody else may read.
const PAGES: [(&str, &str); 8] = [
    ("/", "Create an account"),
    ("/login", "You are logged in"),
    ("/forgot_password", "Forgot your password?"),
    ("/secret_key", "Log in with your password first."),
    ("/logout", "Log out?"),
    ("/account", "alice@example.com"),
    ("/account/password", "Change your password"),
    ("/nowhere", "There is no such page."),
];

#[test]
fn no_page_of_ours_can_be_framed() {
    let server = Server::start();
    let stranger = Stranger::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = browser(&server, &stranger);
    log_in(&server, &browser, &authenticator);
    // The stranger's own page under its other name can be, which shows that we would see it.
    stranger.serves("/own", "<!DOCTYPE html><p>framed");

    for (host, other) in [ORIGINS, ["localhost", "evil.test"]].map(|[a, b]| (a, b)) {
        let own = stranger.at(other, "/own");
        let urls: Vec<String> = PAGES.iter().map(|(path, _)| server.url(path)).collect();
        let mut framed: Vec<String> = urls
            .iter()
            .chain([&own])
            .map(|url| format!("<iframe src='{url}'></iframe>"))
            .collect();
        // What these get with a 401 or 404 they do not try to show, or not always.
        let fine = urls
            .iter()
            .filter(|url| !url.ends_with("/secret_key") && !url.ends_with("/nowhere"));
        for url in fine {
            framed.push(format!("<object data='{url}'></object>"));
            framed.push(format!("<embed src='{url}'>"));
        }
        stranger.serves("/frames", &format!("<!DOCTYPE html>{}", framed.concat()));
        browser.console();
        browser.open(&stranger.at(host, "/frames"));

        // All but the stranger's own. The browser may tell of some after the page is loaded.
        let all = framed.len() - 1;
        let mut console = Vec::new();
        wait_for("every page to be refused", || {
            console.extend(browser.console());
            let refused = |line: &&String| line.contains("frame-ancestors 'none'");
            (console.iter().filter(refused).count() >= all).then_some(())
        });
        let shown: Vec<String> = (0..=PAGES.len())
            .map(|n| browser.text_of_frame(n))
            .collect();
        assert_eq!(shown[PAGES.len()], "framed", "{host}");
        for (shown, (path, says)) in shown.iter().zip(PAGES) {
            assert!(!shown.contains(says), "{host} shows {path}: {shown}");
        }
    }
}

#[test]
fn no_page_of_ours_can_be_read_or_used_from_elsewhere() {
    let server = Server::start();
    let stranger = Stranger::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = browser(&server, &stranger);
    log_in(&server, &browser, &authenticator);

    for host in ORIGINS {
        stranger.serves("/page", "<!DOCTYPE html><head></head><body>");
        for (path, _) in PAGES.into_iter().chain([("/healthz", "ok")]) {
            browser.open(&stranger.at(host, "/page"));
            let url = server.url(path);
            let came = browser.run(&format!(
                "const url = '{url}', tell = {{}}, settled = [];
                 for (const mode of ['no-cors', 'cors'])
                     settled.push(fetch(url, {{mode, credentials: 'include'}})
                         .then(() => 'came', () => 'refused').then(how => tell[mode] = how));
                 for (const [name, fields] of [['script', {{src: url}}], ['img', {{src: url}}],
                         ['link', {{rel: 'stylesheet', href: url}}]])
                     settled.push(new Promise(done => {{
                         const element = Object.assign(document.createElement(name), fields);
                         element.onload = () => done(tell[name] = 'came');
                         element.onerror = () => done(tell[name] = 'refused');
                         document.head.append(element);
                     }}));
                 return Promise.all(settled).then(() => tell);"
            ));
            let refused = json!({
                "no-cors": "refused", "cors": "refused", "script": "refused",
                "img": "refused", "link": "refused",
            });
            assert_eq!(came, refused, "{host} {path}");
        }
    }
}

#[test]
fn a_window_opened_from_elsewhere_is_out_of_its_openers_reach() {
    let server = Server::start();
    let stranger = Stranger::start();
    let browser = browser(&server, &stranger);
    let own = stranger.at("evil.test", "/own");

    for host in ORIGINS {
        for (url, reached) in [(server.url("/login"), false), (own.clone(), true)] {
            stranger.serves("/page", "<!DOCTYPE html><body>");
            browser.open(&stranger.at(host, "/page"));
            browser.run(&format!("window.ours = window.open('{url}')"));
            let from = browser.turn_to_newest_window();
            assert_eq!(browser.url(), url);
            let opener = browser.run("return window.opener !== null");
            browser.close_window(&from);
            // The opener's side of it was cut off long before the window was closed.
            assert_eq!(opener, reached, "{host} opened {url}");
        }
    }
}

#[test]
fn a_browser_sends_no_cookie_of_ours_where_another_site_posts_to() {
    let server = Server::start();
    // Cookies do not know ports, so what is sent to this one is what would be sent to us.
    let stranger = Stranger::start();
    let (_, authenticator) = Visitor::with_account(&server, "alice");
    let browser = browser(&server, &stranger);
    log_in(&server, &browser, &authenticator);
    let ours = stranger.at("localhost", "/ours");

    let mut sent = Vec::new();
    for host in ORIGINS {
        stranger.serves("/form", &form(&ours, &[], "_self"));
        browser.open(&stranger.at(host, "/form"));
        stranger.visits();
        browser.submit();
        assert_eq!(browser.url(), ours);
        let visits = stranger.visits();
        let visit = visits.iter().find(|visit| visit.target == "/ours").unwrap();
        sent.push(visit.cookies.contains("__Host-session="));
    }

    assert_eq!(sent, [false, true], "another site, another port");
    browser.open("/account");
    for cookie in browser.cookies() {
        let attributes = ["secure", "httpOnly", "sameSite", "path"].map(|name| &cookie[name]);
        assert_eq!(
            attributes,
            [&json!(true), &json!(true), &json!("Lax"), &json!("/")]
        );
        assert!(
            cookie["name"].as_str().unwrap().starts_with("__Host-"),
            "{cookie}"
        );
    }
}

#[test]
fn a_page_elsewhere_cannot_log_a_visitor_in_as_somebody_else() {
    let server = Server::start();
    let stranger = Stranger::start();
    let (_, authenticator) = Visitor::with_account(&server, "mallory");
    let mallory = Visitor::new(&server, Accept::Json);
    mallory
        .post("/login", &[("username", "mallory"), ("password", PASSWORD)])
        .expect("code_required");
    let browser = browser(&server, &stranger);

    for host in ORIGINS {
        for (path, fields) in [
            (
                "/login",
                vec![
                    ("username", "mallory".to_owned()),
                    ("password", PASSWORD.to_owned()),
                ],
            ),
            ("/secret_key", vec![("secret", authenticator.last_code())]),
        ] {
            stranger.serves("/form", &form(&server.url(path), &fields, "_self"));
            browser.open(&stranger.at(host, "/form"));
            browser.submit();
            browser.says("This request came from another site.");
            assert_eq!(browser.cookies(), [] as [Value; 0], "{host} {path}");
        }
    }
}
