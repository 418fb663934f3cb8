//! What stands between header and end of each page: a template of `static/` and its values.

use super::fill::{Html, Values, fill};
use super::form::{link, notice};
use super::{Page, Problem, Site, account, qr};

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
            problem,
        } => code(username, *recovery, problem.as_ref()),
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
            problem,
        } => enrol(username, (key, otpauth), *moving, problem.as_ref()),
        Page::Forgot { username, problem } => forgot(username, problem.as_ref()),
        Page::ForgotSent { message } => forgot_sent(message),
        Page::LoggedIn {
            username,
            onward,
            notice,
        } => logged_in(username, onward, notice.as_deref()),
        Page::LoggedOut { message } => logged_out(message),
        Page::Login {
            username,
            rd,
            notice,
            problem,
        } => login(site, (username, rd), notice.as_deref(), problem.as_ref()),
        Page::LogoutQuestion { username } => logout_question(username.as_deref()),
        Page::Message {
            title,
            text,
            onward,
        } => message(title, text, onward.as_ref()),
        Page::RecoveryCodes { codes, onward } => recovery_codes(codes, onward),
        Page::Register { problem, .. } if !site.registration_open => {
            let values = Values::new().form(&[], problem.as_ref(), None);
            fill(
                include_str!("../../static/registration_closed.html"),
                &values,
            )
        }
        Page::Register {
            username,
            email,
            problem,
        } => register(username, email, problem.as_ref()),
    }
}

fn register(username: &str, email: &str, problem: Option<&Problem>) -> Html {
    let values = Values::new()
        .text("username", username)
        .text("email", email)
        .form(&["username", "email", "password"], problem, None);
    fill(include_str!("../../static/register.html"), &values)
}

fn login(
    site: &Site,
    (username, rd): (&str, &str),
    shown: Option<&str>,
    problem: Option<&Problem>,
) -> Html {
    let register = site
        .registration_open
        .then(|| link("/", "Create an account"));
    let start = if username.is_empty() {
        "username"
    } else {
        "password"
    };
    let values = Values::new()
        .html("notice", shown.map(notice))
        .text("username", username)
        .text("rd", rd)
        .html("register", register)
        .form(&["username", "password"], problem, Some(start));
    fill(include_str!("../../static/login.html"), &values)
}

/// It is shown at the application's host, so its links say where they lead.
fn denied(username: &str, host: &str, site: &str) -> Html {
    let values = Values::new()
        .text("username", username)
        .text("host", host)
        .text("logout", format!("{site}/logout"))
        .text("account", format!("{site}/account"));
    fill(include_str!("../../static/denied.html"), &values)
}

fn logged_in(username: &str, onward: &str, shown: Option<&str>) -> Html {
    let values = Values::new()
        .html("notice", shown.map(notice))
        .text("username", username)
        .text("onward", onward);
    fill(include_str!("../../static/logged_in.html"), &values)
}

fn code(username: &str, recovery: bool, problem: Option<&Problem>) -> Html {
    let values =
        Values::new()
            .text("username", username)
            .form(&["secret"], problem, Some("secret"));
    let template = if recovery {
        include_str!("../../static/recovery_code.html")
    } else {
        include_str!("../../static/code.html")
    };
    fill(template, &values)
}

fn enrol(
    username: &str,
    (key, otpauth): (&str, &str),
    moving: bool,
    problem: Option<&Problem>,
) -> Html {
    let values = if moving {
        Values::new()
            .text("step", "")
            .text("heading", "Set up your new authenticator")
            .text(
                "intro",
                "Add the new key to an app and confirm it with a code. Until then the old \
                 authenticator keeps working; after that only the new one does.",
            )
            .text("action", "/account/totp/confirm")
            .text("next", "Then the new authenticator replaces the old one.")
            .html("back", [link("/account", "Keep the old authenticator")])
    } else {
        Values::new()
            .text("step", "Step 2 of 2")
            .text("heading", "Set up your authenticator")
            .text(
                "intro",
                "Do this once: connect an app on your phone. From then on you log in with your \
                 password and a code from that app.",
            )
            .text("action", "/secret_key")
            .text(
                "next",
                "Then you are logged in, and shown recovery codes to keep.",
            )
            .html("back", [link("/login", "Start again")])
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
        // The keyboard goes to the code only after a wrong one: it would scroll the key away.
        .form(&["secret"], problem, None);
    fill(include_str!("../../static/enrol.html"), &values)
}

/// The key in groups that are easy to type from. The gaps between them are only looks: what is
/// copied has none.
fn in_fours(key: &str) -> impl Iterator<Item = Html> {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(String::from_iter).collect();
    groups.into_iter().map(|group| {
        let template = include_str!("../../static/parts/group.html");
        fill(template, &Values::new().text("text", group))
    })
}

fn recovery_codes(codes: &[String], onward: &str) -> Html {
    let template = include_str!("../../static/parts/item.html");
    let items = codes
        .iter()
        .map(|code| fill(template, &Values::new().text("text", code.as_str())));
    let values = Values::new().html("codes", items).text("onward", onward);
    fill(include_str!("../../static/recovery_codes.html"), &values)
}

fn forgot(username: &str, problem: Option<&Problem>) -> Html {
    let values =
        Values::new()
            .text("username", username)
            .form(&["username"], problem, Some("username"));
    fill(include_str!("../../static/forgot.html"), &values)
}

fn forgot_sent(message: &str) -> Html {
    let values = Values::new().text("message", message);
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

fn message(title: &str, text: &str, onward: Option<&(String, String)>) -> Html {
    let template = include_str!("../../static/parts/button.html");
    let button = onward.map(|(href, label)| {
        let values = Values::new()
            .text("href", href.as_str())
            .text("label", label.as_str());
        fill(template, &values)
    });
    let values = Values::new()
        .text("title", title)
        .text("text", text)
        .html("onward", button);
    fill(include_str!("../../static/message.html"), &values)
}
