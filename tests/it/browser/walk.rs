//! A walk through every page, in every state a visitor can bring it to. Whoever walks is told the
//! name of each page that is shown.

use crate::harness::smtp_sink::new_password;
use crate::harness::{Authenticator, Browser, PASSWORD, Server, Visitor, place, wait_for};

struct Walk<'a> {
    server: &'a Server,
    browser: &'a Browser,
    shown: &'a dyn Fn(&str),
}

pub(super) fn through_every_page(server: &Server, browser: &Browser, shown: &dyn Fn(&str)) {
    let walk = Walk {
        server,
        browser,
        shown,
    };
    let phone = walk.a_first_login();
    walk.a_passkey(&phone);
    walk.people();
    walk.an_account();
    walk.a_later_login(&phone);
    walk.mishaps();
}

impl Walk<'_> {
    fn open(&self, path: &str, page: &str) {
        self.browser.open(path);
        (self.shown)(page);
    }

    fn press(&self, button: &str, page: &str) {
        self.browser.press(button);
        (self.shown)(page);
    }

    fn a_first_login(&self) -> Authenticator {
        self.open("/", "register");
        self.browser.fill("Username", "alice");
        self.browser.fill("E-mail", "alice@example.com");
        self.browser.fill("Password", "password");
        self.press("Create account", "register-refused");
        self.browser.fill("Password", PASSWORD);
        self.press("Create account", "login-registered");
        self.browser.fill("Password", PASSWORD);
        self.press("Continue", "enrol");
        let key = self.browser.text_of("//code[@class = 'key']");
        let phone = Authenticator::new(&key.replace([' ', '\n'], ""));
        self.browser.fill("Code", "000000");
        self.press("Confirm", "enrol-refused");
        self.browser.fill("Code", &phone.code());
        self.press("Confirm", "recovery_codes");
        self.browser.follow("I have kept them: continue");
        (self.shown)("account");
        phone
    }

    fn a_passkey(&self, phone: &Authenticator) {
        let code = "Code from your authenticator, or a recovery code";
        self.browser.never_fills_in();
        self.browser.has_platform();
        self.browser.open("/account");
        self.browser.unfold("Add a passkey");
        (self.shown)("account-add_passkey");
        self.browser.fill("Current password", PASSWORD);
        self.browser.fill(code, "000000");
        self.press("Add a passkey", "account-add_passkey_refused");
        self.browser.fill("Current password", PASSWORD);
        self.browser.fill(code, &phone.code());
        self.press("Add a passkey", "account-making_passkey");
        self.press("Make the passkey", "account-passkey_added");
        let remove = "//summary[starts-with(normalize-space(), 'Remove the passkey')]";
        self.browser.click(remove);
        (self.shown)("account-remove_passkey");
    }

    fn people(&self) {
        let bob = Visitor::program(self.server).sending("user-agent", "Firefox/128.0 Linux");
        let long = format!("{}+x", "bob".repeat(20));
        bob.register(&long);
        bob.enrol(&long);
        let groups: Vec<String> = (0..50).map(|n| format!("{n}-{}", "g".repeat(60))).collect();
        self.server.edit_account("alice", |alice| {
            alice["groups"] = serde_json::json!(["users", "admins"]);
        });
        wait_for("the group", || {
            self.browser.open("/account");
            self.browser.text().contains("admins").then_some(())
        });
        (self.shown)("account-administrator");
        self.browser.follow("People");
        (self.shown)("people");
        self.open("/people?q=nobody", "people-nobody");
        self.open("/people?page=0", "people-refused");
        self.invitations();
        self.open("/people/alice", "person-own");
        self.browser.open("/people");
        self.browser.follow(&long);
        self.browser.unfold("Remove this account");
        (self.shown)("person");
        self.browser.fill("Groups of this account", "odd/group");
        self.press("Save the groups", "person-groups_refused");
        self.browser
            .fill("Groups of this account", &groups.join(", "));
        self.press("Save the groups", "person-many_groups");
        self.open("/people?q=bob", "people-many_groups");
        self.browser.follow(&long);
        self.press("Disable this account", "person-disabled");
        self.press("Enable this account", "person-enabled");
        self.browser.unfold("Remove this account");
        let name = format!("Type the name of the account, {long}");
        self.browser.fill(&name, "bob");
        self.press("Remove the account", "person-name_refused");
        self.login_grows_old();
        self.browser.open("/people");
        self.browser.follow(&long);
        self.press("Mail a new password", "confirm_act");
        self.browser.fill("Your password", "not this one");
        self.browser
            .fill("Code from your authenticator, or a recovery code", "000000");
        self.press("Confirm and go on", "confirm_act-refused");
    }

    /// Made, and looked at as the invited see it.
    fn invitations(&self) {
        let invite = |fields: &[(&str, &str)], page: &str| {
            self.browser.open("/people");
            self.browser.unfold("Invite somebody");
            for (field, value) in fields {
                self.browser.fill(field, value);
            }
            self.press("Invite", page);
        };
        let link = || {
            let link = self.browser.filled("Link");
            let path = link.strip_prefix(&self.browser.base);
            path.unwrap_or_else(|| panic!("{link}")).to_owned()
        };
        invite(&[("E-mail", "carol")], "people-invite_refused");
        let fields = [("E-mail", "carol@example.com"), ("Groups", "family")];
        invite(&fields, "invited-mailed");
        let mailed = link();
        invite(&[("Days the link works", "30")], "invited");
        let open = link();
        self.open("/people", "people-invitations");
        self.open(&mailed, "invitation-mailed");
        self.open(&open, "invitation");
        self.browser.fill("Username", "carol");
        self.browser.fill("E-mail", "c@example.com");
        self.browser.fill("Password", "password");
        self.press("Create account", "invitation-refused");
        self.open("/invitation?token=unknown", "invitation-unknown");
    }

    /// As if an hour had gone by since the login.
    fn login_grows_old(&self) {
        let taken_up = || self.server.log().matches("changed sessions file").count();
        let before = taken_up();
        self.server.edit("sessions.json", |sessions| {
            for session in sessions["sessions"].as_array_mut().unwrap() {
                session["login"] = "2026-01-02T03:04:05Z".into();
            }
        });
        if !place::is_database() {
            wait_for("the sessions", || (taken_up() > before).then_some(()));
        }
    }

    fn an_account(&self) {
        let elsewhere = Visitor::program(self.server).sending("user-agent", "Firefox/128.0 Linux");
        elsewhere
            .post("/login", &[("username", "alice"), ("password", PASSWORD)])
            .expect("code_required");
        self.open("/login", "login-logged_in");
        self.open("/", "register-logged_in");
        self.open("/secret_key", "code-logged_in");
        self.browser.open("/account");
        self.browser.unfold("Change your e-mail address");
        self.browser.unfold("Make new recovery codes");
        self.browser.unfold("Move to a new authenticator app");
        self.browser.unfold("Delete this account");
        (self.shown)("account-unfolded");
        self.browser.open("/account");
        self.browser.unfold("Make new recovery codes");
        self.browser.fill("Current password", "not this one");
        self.browser
            .fill("Code from your authenticator, or a recovery code", "000000");
        self.press("Make new codes", "account-refused");
        self.browser.open("/account");
        self.browser.unfold("Change your e-mail address");
        self.browser.fill("New e-mail address", "new@example.com");
        self.browser.fill("Current password", "not this one");
        self.press("Mail the link", "account-email_refused");
        self.browser.fill("Current password", PASSWORD);
        self.press("Mail the link", "account-email_mailed");
        self.open("/account/password", "change_password");
        self.browser.fill("Current password", "not this one");
        self.browser.fill("New password", "eight tame cows");
        self.press("Save password", "change_password-refused");
        self.open("/account?notice=password_changed", "account-notice");
        self.press("Log out", "logged_out");
        self.open("/logout", "logged_out-by_get");
    }

    fn a_later_login(&self, phone: &Authenticator) {
        self.open("/login", "login");
        self.browser.fill("Username", "alice");
        self.browser.fill("Password", "not this one");
        self.press("Continue", "login-refused");
        // As if their owner had closed the browser's dialog.
        let closed = "navigator.credentials.get = () => \
            Promise.reject(new DOMException('closed', 'NotAllowedError'))";
        self.browser.run(closed);
        self.browser
            .click("//button[normalize-space() = 'Log in with a passkey']");
        wait_for("the words", || {
            self.browser
                .text()
                .contains("nothing was confirmed")
                .then_some(())
        });
        (self.shown)("login-no_passkey");
        self.open("/login?rd=%2Faccount", "login-sent_here");
        self.open("/forgot_password", "forgot");
        self.browser.fill("Username", "alice");
        self.press("Send a new password", "forgot-sent");
        let mail = self.server.next_mail("Your new password");
        self.browser.open("/login");
        self.browser.fill("Username", "alice");
        self.browser.fill("Password", new_password(&mail));
        self.press("Continue", "code");
        self.browser.fill("Code", "000000");
        self.press("Log in", "code-refused");
        self.browser.follow("Use a recovery code");
        (self.shown)("recovery_code");
        self.browser.follow("Use the authenticator app");
        self.browser.fill("Code", &phone.code());
        self.press("Log in", "choose_password");
        self.open("/secret_key", "code-choosing");
    }

    fn mishaps(&self) {
        self.browser.open("data:text/html,<title>elsewhere</title>");
        self.open("/nowhere", "not_found");
        self.open("/register", "method_not_allowed");
        self.browser.open(&format!("/{}", "a".repeat(9000)));
        (self.shown)("too_long");
        let form = format!(
            "<form id=f method=post action={}/register></form>",
            self.browser.base
        );
        self.browser.open(&format!("data:text/html,{form}"));
        self.browser.submit();
        self.browser.says("This request came from another site.");
        (self.shown)("cross_site");
        // Waits are counted in whole seconds, so the first may be over before it has begun.
        let throttled = (0..12).any(|_| {
            self.browser.open("/login");
            self.browser.fill("Username", "bob");
            self.browser.fill("Password", "not this one");
            self.browser.press("Continue");
            self.browser.text().contains("Too many attempts.")
        });
        assert!(throttled);
        (self.shown)("throttled");
    }
}
