//! What must hold for every page.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use sha2::{Digest as _, Sha256};

use super::super::enrol::Enrol;
use super::super::{COMPAT_CODE, Site, compat_code, logo_url, script_hash, style_hash};
use super::samples::{problem, render, samples, site};
use super::tags::{attribute, attribute_names, inputs, tags};

const LARGEST: usize = 20 * 1024;

/// Those with lists in them may have twice as much: nobody waits for them at a login.
#[test]
fn every_page_of_a_login_fits_in_twenty_kibibytes() {
    let longest = "\u{30c4}".repeat(64);
    for (name, page) in samples(&longest) {
        let logo = Some(logo_url("image/svg+xml", &vec![0; 3 * 1024]));
        let size = render(&Site { logo, ..site() }, page.as_ref()).len();
        let most = if page.is_wide() { 2 * LARGEST } else { LARGEST };
        assert!(size < most, "{name} has {size} bytes");
    }
}

#[test]
fn a_page_with_the_largest_qr_code_still_fits_in_twenty_kibibytes() {
    let page = |length| Enrol {
        username: "\u{30c4}".repeat(64),
        key: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
        otpauth: format!("otpauth://totp/{}", "%E3".repeat(length)),
        moving: false,
        rd: "&".repeat(256),
        problem: problem(Some("secret")),
    };
    let drawn = |length| render(&site(), &page(length)).contains("<svg class=\"qr\"");
    let largest = (0..1_000).rfind(|&length| drawn(length)).unwrap();

    let size = render(&site(), &page(largest)).len();

    assert!(size < LARGEST, "{size} bytes");
    assert!(render(&site(), &page(largest + 1)).contains("Type this key into the app:"));
}

#[test]
fn every_page_has_one_heading_one_title_and_one_main_part() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for tag in ["<h1>", "<title>", "<main>"] {
            assert_eq!(html.matches(tag).count(), 1, "{tag} in {name}");
        }
        assert!(!html.contains("<h1></h1>"), "{name}");
        assert!(!html.contains("<title> "), "{name}");
    }
}

#[test]
fn every_title_begins_like_the_heading_and_ends_with_the_site() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        let between = |open, close| {
            html.split_once(open)
                .unwrap()
                .1
                .split_once(close)
                .unwrap()
                .0
        };
        let heading = between("<h1>", "</h1>");
        let title = between("<title>", "</title>");
        let title = title.strip_prefix("Error: ").unwrap_or(title);
        assert_eq!(title, format!("{heading} - auth.example.com"), "{name}");
    }
}

#[test]
fn every_field_has_a_label_and_every_reference_a_target() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for input in inputs(&html) {
            let id = attribute(input, "id").unwrap();
            assert!(
                html.contains(&format!("<label for=\"{id}\">")),
                "{id} in {name}"
            );
        }
        for reference in tags(&html).into_iter().flat_map(|tag| {
            ["aria-describedby", "aria-labelledby", "for"]
                .into_iter()
                .filter_map(|of| attribute(tag, of))
                .flat_map(str::split_whitespace)
        }) {
            let targets = html.matches(&format!(" id=\"{reference}\"")).count();
            assert_eq!(targets, 1, "#{reference} in {name}");
        }
    }
}

#[test]
fn no_id_is_given_twice() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        let ids: Vec<_> = tags(&html)
            .into_iter()
            .filter_map(|tag| attribute(tag, "id"))
            .collect();
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{name}");
    }
}

#[test]
fn only_what_offers_a_passkey_has_the_script_and_no_page_needs_it() {
    let (mut with, mut without) = (0, 0);
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        let offers = html.contains(" data-script");
        assert_eq!(
            html.matches("<script").count(),
            usize::from(offers),
            "{name}"
        );
        *(if offers { &mut with } else { &mut without }) += 1;
        let Some((_, script)) = html.split_once("<script>") else {
            assert!(!page.needs_script(), "{name}");
            continue;
        };
        let (script, _) = script.split_once("</script>").unwrap();
        let hash = STANDARD.encode(Sha256::digest(script));
        assert_eq!(script_hash(), format!("sha256-{hash}"), "{name}");
        assert!(script.len() <= 2048 && page.needs_script(), "{name}");
        for tag in tags(&html)
            .iter()
            .filter(|tag| tag.contains(" data-script"))
        {
            assert!(attribute_names(tag).contains(&"hidden"), "{tag} in {name}");
        }
    }
    assert!(with > 5 && without > 20);
}

#[test]
fn no_page_has_an_inline_style_another_script_or_anything_to_fetch() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        let html = match html.split_once("<script>") {
            Some((before, script)) => before.to_owned() + script.split_once("</script>").unwrap().1,
            None => html,
        };
        for tag in tags(&html) {
            let element = tag.split([' ', '/']).next().unwrap();
            let barred = ["script", "link", "img", "iframe", "object", "base", "use"];
            assert!(!barred.contains(&element), "{tag} in {name}");
            for attribute in attribute_names(tag).into_iter().skip(1) {
                let attribute = attribute.trim_end_matches('=');
                assert!(!attribute.starts_with("on"), "{tag} in {name}");
                assert!(!["style", "src"].contains(&attribute), "{tag} in {name}");
            }
        }
        assert!(!html.contains("url("), "{name}");
    }
}

#[test]
fn every_form_posts_to_this_site_and_has_a_button() {
    // Each form is sent to the address at which it is shown, with what stands behind `#` there.
    let in_place = ["login", "code", "recovery_code", "enrol", "choose_password"];
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for form in tags(&html).iter().filter(|tag| tag.starts_with("form")) {
            // Looking for somebody changes nothing.
            let method = match attribute(form, "role") {
                Some("search") => "get",
                _ => "post",
            };
            assert_eq!(attribute(form, "method"), Some(method), "{name}");
            let action = attribute(form, "action");
            let is_passkeys = attribute(form, "data-passkey").is_some();
            if !is_passkeys
                && in_place.iter().any(|page| name.starts_with(page))
                && name != "enrol_moving"
            {
                assert_eq!(action, None, "{name}");
            } else {
                assert!(action.unwrap().starts_with('/'), "{name}");
            }
        }
        assert_eq!(
            html.matches("<form").count(),
            html.matches("<button").count(),
            "{name}"
        );
    }
}

/// Whether a field is part of a form; others only show something.
fn is_sent(input: &&str) -> bool {
    attribute(input, "name").is_some()
}

#[test]
fn no_password_or_code_field_is_filled_in() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for input in inputs(&html).filter(is_sent) {
            let may_show = match (name, attribute(input, "name").unwrap()) {
                // Typed against a slip.
                (page, "username") => !page.starts_with("person"),
                (_, field) => {
                    ["days", "email", "groups", "hosts", "name", "q", "remember"].contains(&field)
                }
            };
            assert_eq!(
                attribute(input, "value").is_some(),
                may_show,
                "{input} in {name}"
            );
        }
    }
}

#[test]
fn password_managers_are_told_what_each_field_is() {
    for (page_name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for input in inputs(&html).filter(is_sent) {
            let expected = match (page_name, attribute(input, "name").unwrap()) {
                // Of others, which no password manager knows.
                (page, "username") if page.starts_with("person") => "off",
                (page, "email") if page.starts_with("people") => "off",
                (_, "days" | "groups" | "hosts" | "name" | "q") => "off",
                ("login_passkey", "username") => "username webauthn",
                (_, "username") => "username",
                (_, "email") => "email",
                (page, "password") if page.starts_with("register") => "new-password",
                (page, "password") if page.starts_with("invitation") => "new-password",
                (_, "new_password") => "new-password",
                (_, "password" | "current_password") => "current-password",
                // A recovery code comes from paper; a generated one-time code would be wrong.
                (page, "secret") if page.starts_with("recovery_code") => "off",
                (_, "secret") => "one-time-code",
                // A box has nothing to fill in.
                (_, "remember") => "",
                (_, name) => panic!("{name} in {page_name}"),
            };
            let told = attribute(input, "autocomplete").unwrap_or_default();
            assert_eq!(told, expected, "{input} in {page_name}");
        }
    }
}

#[test]
fn nothing_that_is_pasted_is_cut() {
    for (name, page) in samples("alice") {
        assert!(
            !render(&site(), page.as_ref()).contains("maxlength"),
            "{name}"
        );
    }
}

#[test]
fn a_new_password_is_measured_before_it_is_sent() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for input in inputs(&html).filter(|input| input.contains("\"new-password\"")) {
            assert_eq!(attribute(input, "minlength"), Some("8"), "{name}");
            assert!(input.contains(" required"), "{name}");
        }
    }
}

#[test]
fn every_form_with_a_password_says_whose_it_is() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        for form in html.split("<form").skip(1) {
            let (form, _) = form.split_once("</form>").unwrap();
            if form.contains("type=\"password\"") {
                let says = [
                    "autocomplete=\"username\"",
                    "autocomplete=\"username webauthn\"",
                ];
                assert!(says.iter().any(|says| form.contains(says)), "{name}");
            }
        }
    }
}

#[test]
fn the_hash_is_that_of_the_style_in_every_page() {
    for (name, page) in samples("alice") {
        let html = render(&site(), page.as_ref());
        let (_, style) = html.split_once("<style>").unwrap();
        let (style, _) = style.split_once("</style>").unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        assert_eq!(style_hash(), format!("sha256-{hash}"), "{name}");
    }
}

#[test]
fn the_page_for_old_programs_has_one_hole_which_is_escaped() {
    assert_eq!(COMPAT_CODE.matches('{').count(), 1);
    assert!(COMPAT_CODE.contains("name=\"username\" value=\"{username}\""));

    let html = compat_code(COMPAT_CODE, "\"><script>{username}");

    assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;{username}\""));
    assert!(!html.contains("<script"));
}

#[test]
fn every_template_is_used() {
    let files = fs::read_dir("src/pages").unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let source: String = files
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for folder in ["", "parts/", "compat/"] {
        for entry in fs::read_dir(format!("static/{folder}")).unwrap() {
            let entry = entry.unwrap();
            let file = format!("{folder}{}", entry.file_name().display());
            let used = source.contains(&format!("include_str!(\"../../static/{file}\")"));
            assert!(used || entry.path().is_dir(), "{file}");
        }
    }
}

proptest! {
    // Each case renders every page twice.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_changes_the_structure_of_a_page(
        text in "x.{0,40}|x[<>&\"'{}=/ a-z]{1,40}",
    ) {
        let names = |html: &str| -> Vec<String> {
            tags(html).into_iter().map(|tag| attribute_names(tag).join(" ")).collect()
        };
        let site = Site { issuer: text.clone(), ..site() };
        for ((_, page), (_, plain)) in samples(&text).iter().zip(samples("alice")) {
            let html = render(&site, page.as_ref());
            prop_assert_eq!(names(&html), names(&render(&self::site(), plain.as_ref())));
        }
    }
}
