//! Paths as well-known servers, frameworks and file systems read them: if any of them finds a
//! guarded path, the rules must find it guarded too.

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;

use super::Access;
use super::readings::OPENING;

/// The names that lead to what is served, written as the rules write them where the server treats
/// two spellings as one.
type Decoder = fn(&str) -> Vec<String>;

const DECODERS: [(&str, Decoder); 16] = [
    ("none", |path| names(path)),
    ("nginx", |path| names(&resolve(&decode(path)))),
    ("apache", |path| names(&resolve(&decode(&merge(path))))),
    ("iis", |path| {
        let text = decode(&unicode(&decode(path))).replace('\\', "/");
        let names = names(&resolve(&text)).into_iter();
        names
            .map(|name| windows(&name))
            .filter(|name| !name.is_empty())
            .collect()
    }),
    ("tomcat", |path| {
        names(&resolve(&decode(&without_parameters(path))))
    }),
    ("jetty", |path| {
        names(&resolve(&without_parameters(&decode(path))))
    }),
    ("spring", |path| {
        // A suffix only says which format is wanted, and a slash at the end means nothing.
        without_suffix(names(&decode(&without_parameters(path))))
    }),
    ("rails", |path| without_suffix(names(&merge(&decode(path))))),
    ("express", |path| {
        names(&decode(path))
            .iter()
            .map(|name| name.to_uppercase())
            .map(lower)
            .collect()
    }),
    ("go", |path| names(&resolve(&merge(&decode(path))))),
    ("twice", |path| {
        names(&resolve(&decode(&decode(path)).replace('\\', "/")))
    }),
    ("until nothing is left", |path| {
        let mut text = path.to_owned();
        while decode(&text) != text {
            text = decode(&text);
        }
        names(&resolve(&text)).into_iter().map(lower).collect()
    }),
    ("apple's file system", |path| {
        let composed: String = decode(path).nfc().collect();
        names(&resolve(&composed)).into_iter().map(lower).collect()
    }),
    ("php", |path| {
        // A path that goes through C ends at NUL, and a second parser finds a query.
        let text = decode(path);
        names(&resolve(text.split(['\0', '?', '#']).next().unwrap()))
    }),
    ("overlong", |path| {
        let text = path
            .replace("%c0%af", "/")
            .replace("%c0%ae", ".")
            .replace("%e0%80%af", "/");
        names(&resolve(&decode(&text)))
    }),
    ("trimming", |path| {
        let names = names(&decode(path)).into_iter();
        names
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect()
    }),
];

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// `%u0061` as classic ASP wrote it.
fn unicode(text: &str) -> String {
    let mut parts = text.split("%u");
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        let code = part
            .get(..4)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => {
                decoded.push(character);
                decoded.push_str(&part[4..]);
            }
            None => {
                decoded.push_str("%u");
                decoded.push_str(part);
            }
        }
    }
    decoded
}

fn names(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn merge(path: &str) -> String {
    names(path).iter().flat_map(|name| ["/", name]).collect()
}

fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    kept.iter().flat_map(|name| ["/", name]).collect()
}

fn without_parameters(path: &str) -> String {
    let names = path.split('/').map(|name| name.split(';').next().unwrap());
    names.collect::<Vec<_>>().join("/")
}

fn without_suffix(mut names: Vec<String>) -> Vec<String> {
    if let Some(last) = names.last_mut()
        && let Some(dot) = last.rfind('.')
    {
        last.truncate(dot);
    }
    names
}

fn windows(name: &str) -> String {
    let name = name.split(':').next().unwrap();
    lower(name.trim_end_matches(['.', ' ']).to_owned())
}

fn lower(text: String) -> String {
    text.to_uppercase().to_lowercase()
}

const GUARDING: &str = r#"
    [[rule]]
    host = "app.example.com"
    groups = ["*"]

    [[rule]]
    host = "app.example.com"
    path = "/admin"
    groups = ["admins"]

    [[rule]]
    host = "app.example.com"
    path = "/admin/help"
    groups = ["*"]
"#;

fn begins(names: &[String], with: &[&str]) -> bool {
    names.len() >= with.len() && names.iter().zip(with).all(|(name, with)| name == with)
}

/// Asserts that nobody is let in where some server would serve what is not theirs.
fn assert_guarded(path: &str) {
    let admits = |rules: &str| {
        Access::parse(rules)
            .unwrap()
            .admits("app.example.com", path, &[])
    };
    let (guarded, open) = (!admits(GUARDING), admits(OPENING));
    for (who, decoder) in DECODERS {
        let found = decoder(path);
        let secret = begins(&found, &["admin"]) && !begins(&found, &["admin", "help"]);
        assert!(guarded || !secret, "{who} finds {found:?} in {path}");
        let elsewhere = !begins(&found, &["public"]);
        assert!(!open || !elsewhere, "{who} finds {found:?} in {path}");
    }
}

#[test]
fn each_decoder_finds_what_it_is_known_to_find() {
    let found = |who: &str, path: &str| {
        let (_, decoder) = DECODERS.iter().find(|(name, _)| *name == who).unwrap();
        decoder(path).join("/")
    };
    for (who, path) in [
        ("nginx", "/x//../%61dmin/y"),
        ("iis", "/%u0041DMIN. ::$DATA\\y"),
        ("iis", "/x/..%255cadmin"),
        ("tomcat", "/x/..;/admin;a=b"),
        ("jetty", "/x/..%3b/admin"),
        ("spring", "/admin.json"),
        ("rails", "/admin.xml"),
        ("express", "/adm\u{131}n"),
        ("go", "//admin"),
        ("twice", "/x/%252e%252e/admin"),
        (
            "until nothing is left",
            "/%252525256lADMIN/../%2525252561dmin",
        ),
        ("apple's file system", "/ADMIN"),
        ("php", "/admin%00x"),
        ("php", "/admin%3fx"),
        ("overlong", "/x%c0%af..%c0%afadmin"),
        ("trimming", "/admin%20"),
    ] {
        assert!(
            found(who, path).starts_with("admin"),
            "{who} {path} {}",
            found(who, path)
        );
        assert_guarded(path);
    }
}

/// A piece of a path: a name that matters, or what may stand around one. A query is not part of it.
const PIECE: &str = "(admin|ADMIN|help|public|Public|users|x)|[/.;: %a-z]|//|\\\\|%[0-9a-f]{2}|%25|%2561|%64|%u0061|%2[eEfF]|%252[ef]|%5[cC]|%3[bB]|%3f|%00|%20|%c0%af|%C4%B1|\\.json|\\.\\.|::\\$DATA|;x=1";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_decoder_is_led_past_a_rule(pieces in prop::collection::vec(PIECE, 0..8)) {
        assert_guarded(&format!("/{}", pieces.concat()));
    }

    /// Closer to what matters: a name of a rule, spelled and followed in every way.
    #[test]
    fn no_spelling_of_a_name_is_led_past_a_rule(
        before in "(|/|x/|x/\\.\\./|%20|;/)",
        name in "(a|A|%61|%41|%2561)d(m|M|%6d)(i|I|\u{131}|\u{130}|%C4%B1)n|public|PUBLIC|%70ublic",
        after in "(|/|\\.|%20|%3f|%23|;|:|%09|/help|/HELP|/help\\.|/%68elp)[a-z/.%:0-9]{0,6}",
    ) {
        assert_guarded(&format!("/{before}{name}{after}"));
    }

    #[test]
    fn no_text_breaks_the_reader(text: String, path: String) {
        let _ = Access::parse(&text);
        let _ = Access::parse(GUARDING).unwrap().admits("app.example.com", &path, &[]);
    }
}
