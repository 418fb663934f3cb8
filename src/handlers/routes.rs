//! The whole site: every path the server answers is a row here.

use crate::handlers::{
    Answer, App, account, acts, address, authz, code, confirm, health, invitation, login,
    new_password, passkey, people, script, tokens, visitor,
};
use crate::http::{Method, Request};
use crate::pages::message::Way;
use crate::reply::{Outcome, Refusal, Reply};

/// What answers a request.
type Handler = fn(&App, &Request) -> Answer;

/// Shows a browser where to go on after its form was refused, mostly the form again.
type Again = fn(&App, &Request, Refusal) -> Refusal;

/// A path, and what is done there.
struct Route {
    path: &'static str,
    get: Option<Handler>,
    post: Option<(Handler, Again)>,
}

const fn get(path: &'static str, get: Handler) -> Route {
    Route {
        path,
        get: Some(get),
        post: None,
    }
}

const fn post(path: &'static str, post: Handler, again: Again) -> Route {
    Route {
        path,
        get: None,
        post: Some((post, again)),
    }
}

const fn both(path: &'static str, get: Handler, post: Handler, again: Again) -> Route {
    Route {
        path,
        get: Some(get),
        post: Some((post, again)),
    }
}

/// For handlers that choose the page by themselves.
fn as_said(_: &App, _: &Request, refusal: Refusal) -> Refusal {
    refusal
}

const ROUTES: &[Route] = &[
    get("/", visitor::first_page),
    post("/register", visitor::register, visitor::register_again),
    both(
        "/login",
        login::login_page,
        login::login,
        login::login_again,
    ),
    both(
        "/forgot_password",
        visitor::forgot_password_page,
        visitor::forgot_password,
        visitor::forgot_password_again,
    ),
    both(
        "/secret_key",
        code::secret_key_page,
        code::secret_key,
        as_said,
    ),
    both("/logout", login::logout_by_get, login::logout, as_said),
    both(
        "/confirm",
        confirm::confirm_page,
        confirm::confirm,
        confirm::confirm_again,
    ),
    get("/invitation", invitation::invitation_page),
    get("/account", account::account),
    post(
        "/account/email",
        address::change_email,
        address::change_email_again,
    ),
    post("/account/email/confirmation", confirm::send_again, as_said),
    both(
        "/account/password",
        new_password::password_page,
        new_password::change_password,
        as_said,
    ),
    post(
        "/account/recovery_codes",
        acts::new_recovery_codes,
        acts::recovery_codes_again,
    ),
    post("/account/totp", acts::begin_move, acts::move_again),
    post("/account/totp/confirm", acts::confirm_move, as_said),
    post("/account/sessions/end", account::end_sessions, as_said),
    post("/account/delete", acts::delete, acts::delete_again),
    post("/account/tokens", tokens::make, tokens::make_again),
    post(
        "/account/tokens/remove",
        tokens::remove,
        tokens::remove_again,
    ),
    get("/healthz", health),
    // Where password managers look (W3C, A Well-Known URL for Changing Passwords).
    get("/.well-known/change-password", |_, _| {
        Ok(Reply::see_other("/account/password".to_owned()))
    }),
];

/// The rows of which the original script knows nothing: they are not there where the server answers
/// as it does.
const NOT_IN_SCRIPT: &[Route] = &[
    post("/login/passkey", passkey::log_in, passkey::log_in_again),
    post("/secret_key/passkey", passkey::second_step, as_said),
    post(
        "/account/passkeys",
        passkey::begin_making,
        passkey::begin_again,
    ),
    post(
        "/account/passkeys/confirm",
        passkey::finish_making,
        passkey::begin_again,
    ),
    post(
        "/account/passkeys/remove",
        passkey::remove,
        passkey::remove_again,
    ),
];

/// The rows that take the place of forms where the server answers as the original script does.
const SCRIPT: &[Route] = &[
    post("/login", script::login, script::login_again),
    post("/secret_key", script::secret_key, script::secret_key_again),
    post(
        "/forgot_password",
        script::forgot_password,
        script::forgot_password_again,
    ),
];

/// Answers a request by its row.
pub(super) fn dispatch(app: &App, request: &Request) -> Answer {
    let path = request.path.as_str();
    if people::is_at(path) {
        return people::answer(app, request);
    }
    let further = || find(NOT_IN_SCRIPT, path).filter(|_| app.script.is_none());
    let is_there = !tokens::is_at(path) || tokens::are_offered(app);
    let found = find(ROUTES, path).filter(|_| is_there).or_else(further);
    let Some(route) = found else {
        return Err(not_so(app, path, Outcome::NotFound));
    };
    let instead = app.script.as_ref().and_then(|_| find(SCRIPT, path)?.post);
    match (request.method, route.get, instead.or(route.post)) {
        (Method::Get | Method::Head, Some(get), _) => get(app, request),
        (Method::Post, _, Some((post, again))) => {
            post(app, request).map_err(|refusal| again(app, request, refusal))
        }
        _ => {
            let methods = match (route.get, route.post) {
                (Some(_), Some(_)) => "GET, HEAD, POST",
                (Some(_), None) => "GET, HEAD",
                (None, _) => "POST",
            };
            Err(not_so(app, path, Outcome::MethodNotAllowed(methods)))
        }
    }
}

/// The path as documents write it, with `NAME` for a name; `None` if nothing is there.
pub fn route_of(path: &str) -> Option<&'static str> {
    let asked_by_proxies = || authz::PATHS.iter().find(|known| **known == path).copied();
    find(ROUTES, path)
        .or_else(|| find(NOT_IN_SCRIPT, path))
        .map(|route| route.path)
        .or_else(|| people::route_of(path))
        .or_else(asked_by_proxies)
}

fn find(routes: &'static [Route], path: &str) -> Option<&'static Route> {
    routes.iter().find(|route| route.path == path)
}

/// The refusal of a request that no row takes. It leads to the form, for people who typed the
/// address to which that form is sent.
pub(super) fn not_so(app: &App, path: &str, outcome: Outcome) -> Refusal {
    let wanted = match path {
        "/register" if app.registration.is_open() => Way::new("/", "Create an account"),
        _ => Way::new("/account", "Your account"),
    };
    Refusal::from(outcome).leading_to(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_row_and_the_script_takes_the_place_of_forms_that_there_are() {
        for rows in [ROUTES, NOT_IN_SCRIPT] {
            for (n, route) in rows.iter().enumerate() {
                assert!(find(&rows[..n], route.path).is_none(), "{}", route.path);
            }
        }
        for route in NOT_IN_SCRIPT {
            assert!(find(ROUTES, route.path).is_none(), "{}", route.path);
        }
        for route in SCRIPT {
            let usual = find(ROUTES, route.path).unwrap();
            assert!(usual.post.is_some(), "{}", route.path);
        }
    }
}
