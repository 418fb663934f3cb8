//! The main part of each page, between its header and its end: a template of `static/` and its
//! values.

use super::fill::{Html, Values, fill};
use super::form::{fixed, link, notice};
use super::{Page, Problem, Site, Way, account, qr, register_with_rd, with_rd};

/// The main part of this page.
pub fn main(site: &Site, page: &Page) -> Html {
    match page {
        Page::Account(view) => account::main(view),
        Page::ChoosePassword {
            username,
            current_needed,
            problem,
        } => {
            let form = if *current_needed {
                change_password
            } else {
                choose_password
            };
            form(username, problem.as_ref())
        }
        Page::Code {
            username,
            recovery,
            rd,
            problem,
        } => code((username, rd), *recovery, problem.as_ref()),
        Page::Denied {
            username,
            host,
            site,
        } => denied(username, host, site),
        Page::Enrol {
            username,
            key,
            otpauth,
            moving,
            rd,
            problem,
        } => enrol((username, rd), (key, otpauth), *moving, problem.as_ref()),
        Page::Forgot {
            username,
            rd,
            form,
            problem,
        } => forgot((username, rd, form), problem.as_ref()),
        Page::ForgotSent { message, rd } => forgot_sent(message, rd),
        Page::LoggedIn {
            username,
            onward,
            missed,
            notice,
        } => logged_in(username, onward, *missed, notice.as_deref()),
        Page::LoggedOut { message } => logged_out(message),
        Page::Login {
            username,
            rd,
            form,
            notice,
            problem,
        } => login(
            site,
            (username, rd, form),
            notice.as_deref(),
            problem.as_ref(),
        ),
        Page::LogoutQuestion { username } => logout_question(username.as_deref()),
        Page::Message {
            title,
            text,
            advice,
            onward,
            else_to,
        } => message((title, text, advice), onward, else_to.as_ref()),
        Page::RecoveryCodes {
            username,
            codes,
            onward,
        } => recovery_codes(site, username, codes, onward),
        Page::Register {
            username,
            email,
            rd,
            form,
            me,
            problem,
        } => register((username, email, rd, form), me.as_deref(), problem.as_ref()),
    }
}

/// The longest `rd` that links carry too, in bytes: encoding it once more can make it three times
/// as long, and a page must stay small. The login form itself keeps a longer one.
const SHORT: usize = 256;

fn short(rd: &str) -> &str {
    if rd.len() > SHORT { "" } else { rd }
}

fn register(
    (username, email, rd, form): (&str, &str, &str, &str),
    me: Option<&str>,
    problem: Option<&Problem>,
) -> Html {
    let known = me.map(|me| {
        let template = include_str!("../../static/parts/known.html");
        fill(template, &Values::new().text("username", me))
    });
    let start = problem.map(|_| "password");
    let values = Values::new()
        .html("known", known)
        .text("username", username)
        .text("email", email)
        .text("rd", rd)
        .text("login", with_rd("/login", short(rd)))
        .once(form)
        .form(&["username", "email", "password"], problem, start);
    fill(include_str!("../../static/register.html"), &values)
}

fn login(
    site: &Site,
    (username, rd, form): (&str, &str, &str),
    shown: Option<&str>,
    problem: Option<&Problem>,
) -> Html {
    let register = site
        .registration_open
        .then(|| link(&register_with_rd(short(rd)), "Create an account"));
    let start = if username.is_empty() {
        "username"
    } else {
        "password"
    };
    let values = Values::new()
        .html("notice", shown.map(notice))
        .text("username", username)
        .text("rd", rd)
        .text("forgot", with_rd("/forgot_password", short(rd)))
        .html("register", register)
        .once(form)
        .form(&["username", "password"], problem, Some(start));
    fill(include_str!("../../static/login.html"), &values)
}

/// This page is shown at the application's host, so its links must be absolute.
fn denied(username: &str, host: &str, site: &str) -> Html {
    let values = Values::new()
        .text("username", username)
        .text("host", host)
        .text("logout", format!("{site}/logout"))
        .text("account", format!("{site}/account"));
    fill(include_str!("../../static/denied.html"), &values)
}

fn logged_in(username: &str, onward: &str, missed: bool, shown: Option<&str>) -> Html {
    let missed = missed.then(|| fixed(include_str!("../../static/parts/missed.html")));
    let values = Values::new()
        .html("missed", missed)
        .html("notice", shown.map(notice))
        .text("username", username)
        .text("onward", onward);
    fill(include_str!("../../static/logged_in.html"), &values)
}

fn code((username, rd): (&str, &str), recovery: bool, problem: Option<&Problem>) -> Html {
    let values = Values::new()
        .text("username", username)
        .text("rd", rd)
        .text("login", with_rd("/login", short(rd)))
        .form(&["secret"], problem, Some("secret"));
    let template = if recovery {
        include_str!("../../static/recovery_code.html")
    } else {
        include_str!("../../static/code.html")
    };
    fill(template, &values)
}

fn enrol(
    (username, rd): (&str, &str),
    (key, otpauth): (&str, &str),
    moving: bool,
    problem: Option<&Problem>,
) -> Html {
    let values = if moving {
        moving_to_new_key()
    } else {
        first_key(rd)
    };
    let qr = qr::draw(otpauth);
    let key_hint = match qr {
        Some(_) => "If you cannot scan it, type this key:",
        None => "Type this key into the app:",
    };
    let values = values
        .text("username", username)
        .text("key_hint", key_hint)
        .html("key", in_fours(key))
        .text("otpauth", otpauth)
        .html("qr", qr)
        // The field for the code gets the focus only after a wrong code: focusing it would scroll
        // the key out of sight.
        .form(&["secret"], problem, None);
    fill(include_str!("../../static/enrol.html"), &values)
}

/// The texts of an enrolment that replaces another authenticator.
fn moving_to_new_key<'a>() -> Values<'a> {
    Values::new()
        .text("step", "")
        .text("heading", "Set up your new authenticator")
        .text(
            "intro",
            "Add the new key to an app and confirm it with a code. Until then the old \
                 authenticator keeps working; after that only the new one does. This key is good \
                 for five minutes.",
        )
        .html("action", [fixed(" action=\"/account/totp/confirm\"")])
        .text("next", "Then the new authenticator replaces the old one.")
        .text("rd", "")
        .html("back", [link("/account", "Keep the old authenticator")])
}

/// The texts of the enrolment at a first login.
fn first_key(rd: &str) -> Values<'_> {
    Values::new()
        .text("step", "Step 2 of 2")
        .text("heading", "Set up your authenticator")
        .text(
            "intro",
            "Do this once: connect an app on your phone. From then on you log in with your \
                 password and a code from that app. This key is good for five minutes; after \
                 that, log in again for a new one.",
        )
        // The form is sent to the address at which it is shown; without an action, a browser keeps
        // what stands behind `#` there.
        .html("action", [])
        .text(
            "next",
            "Then you are logged in, and shown recovery codes to keep.",
        )
        .text("rd", short(rd))
        .html("back", [link(&with_rd("/login", short(rd)), "Start again")])
}

/// The key in groups that are easy to type from. The gaps between them are only visual: a copied
/// key has none.
fn in_fours(key: &str) -> impl Iterator<Item = Html> {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(String::from_iter).collect();
    groups.into_iter().map(|group| {
        let template = include_str!("../../static/parts/group.html");
        fill(template, &Values::new().text("text", group))
    })
}

fn recovery_codes(site: &Site, username: &str, codes: &[String], onward: &str) -> Html {
    let template = include_str!("../../static/parts/item.html");
    let items = codes
        .iter()
        .map(|code| fill(template, &Values::new().text("text", code.as_str())));
    let values = Values::new()
        .text("username", username)
        .text("issuer", site.issuer.as_str())
        .html("codes", items)
        .text("saved", as_file(codes))
        .text("onward", onward);
    fill(include_str!("../../static/recovery_codes.html"), &values)
}

/// The codes as a `data:` address of a file to save. The file is in the page already, so the server
/// need not keep it and the browser need not ask for it.
fn as_file(codes: &[String]) -> String {
    let lines: String = codes.iter().map(|code| format!("{code}%0D%0A")).collect();
    format!("data:text/plain;charset=utf-8,{lines}")
}

fn forgot((username, rd, form): (&str, &str, &str), problem: Option<&Problem>) -> Html {
    let values = Values::new()
        .text("username", username)
        .text("rd", rd)
        .text("login", with_rd("/login", short(rd)))
        .once(form)
        .form(&["username"], problem, Some("username"));
    fill(include_str!("../../static/forgot.html"), &values)
}

fn forgot_sent(message: &str, rd: &str) -> Html {
    let values = Values::new()
        .text("message", message)
        .text("login", with_rd("/login", short(rd)))
        .text("again", with_rd("/forgot_password", short(rd)));
    fill(include_str!("../../static/forgot_sent.html"), &values)
}

fn choose_password(username: &str, problem: Option<&Problem>) -> Html {
    let fields = ["new_password"];
    let values =
        Values::new()
            .text("username", username)
            .form(&fields, problem, Some("new_password"));
    fill(include_str!("../../static/choose_password.html"), &values)
}

fn change_password(username: &str, problem: Option<&Problem>) -> Html {
    let fields = ["current_password", "new_password"];
    let values =
        Values::new()
            .text("username", username)
            .form(&fields, problem, Some("current_password"));
    fill(include_str!("../../static/change_password.html"), &values)
}

fn logout_question(username: Option<&str>) -> Html {
    let (intro, back) = match username {
        Some(username) => (
            format!(
                "You are logged in as {username}. Logging out ends this session; the others go on."
            ),
            link("/account", "Stay logged in"),
        ),
        None => (
            "Log out to make sure that no session is left in this browser.".to_owned(),
            link("/login", "Back to log in"),
        ),
    };
    let values = Values::new().text("intro", intro).html("back", [back]);
    fill(include_str!("../../static/logout.html"), &values)
}

fn logged_out(message: &str) -> Html {
    let values = Values::new().text("message", message);
    fill(include_str!("../../static/logged_out.html"), &values)
}

fn message((title, text, advice): (&str, &str, &str), onward: &Way, else_to: Option<&Way>) -> Html {
    let advice = (!advice.is_empty()).then(|| {
        let template = include_str!("../../static/parts/paragraph.html");
        fill(template, &Values::new().text("text", advice))
    });
    let values = Values::new()
        .text("title", title)
        .text("text", text)
        .html("advice", advice)
        .text("href", onward.to.as_str())
        .text("label", onward.label)
        .html("ways", else_to.map(|way| link(&way.to, way.label)));
    fill(include_str!("../../static/message.html"), &values)
}
