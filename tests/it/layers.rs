//! The architecture, held by the tree itself: the module list in `src/lib.rs` is in layers, and
//! every outside thing has one owner.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of `src/lib.rs`, outermost first.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string("src/lib.rs").unwrap();
    let names = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The files of a module without their tests.
fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let single = PathBuf::from(format!("src/{module}.rs"));
    if single.is_file() {
        found.push(single);
    }
    collect(Path::new(&format!("src/{module}")), &mut found);
    assert!(!found.is_empty(), "no file for {module}");
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap()
                .to_owned();
            (path, code)
        })
        .collect()
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            collect(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_use_only_the_modules_listed_below_them() {
    let order = modules();
    assert!(order.len() > 10);
    for (layer, module) in order.iter().enumerate() {
        for (path, text) in sources(module) {
            for line in code(&text) {
                for used in line.split("crate::").skip(1) {
                    let word = |c: char| !c.is_alphanumeric() && c != '_';
                    let used = used.split(word).next().unwrap();
                    let below = used == module || order[layer + 1..].iter().any(|m| m == used);
                    assert!(below, "{path:?} may not use `{used}`: {line}");
                }
            }
        }
    }
}

#[test]
fn every_outside_thing_has_one_owner() {
    let owners: [(&str, &[&str]); 12] = [
        ("tiny_http", &["server", "front/relay"]),
        (
            "rustls",
            &[
                "front/tls",
                "deployment/doctor/wire",
                "store/postgres/tls",
                "trust",
            ],
        ),
        ("tokio", &["store/postgres"]),
        ("rcgen", &["front/tls"]),
        ("lettre", &["mail"]),
        ("qrcode", &["pages"]),
        ("use tar::", &["operator/backup/archive"]),
        ("aws_lc_rs::signature", &["accounts/passkey/key"]),
        (
            "std::fs",
            &[
                "deployment/doctor/files",
                "deployment/doctor/machine",
                "deployment/proxy_config/output",
                "durable",
                "events",
                "folder",
                "store",
                "mail",
                "front",
                "memory",
                "operator/backup",
                "operator/import/source",
                "owner",
                "rights",
                "site/database",
                "site/logo",
                "site/script_page",
                "site/smtp",
            ],
        ),
        ("SystemTime", &["clock"]),
        (
            "Instant::now",
            &[
                "clock",
                "deployment/doctor",
                "events/file",
                "events/rows",
                "front",
                "gate",
                "results",
                "mail",
                "metrics/server",
                "store",
            ],
        ),
        ("SysRng", &["accounts/token", "mail", "front"]),
    ];
    for module in modules() {
        for (path, text) in sources(&module) {
            let path = path.to_string_lossy().replace("src/", "");
            for (thing, owners) in owners {
                let owned = owners.iter().any(|owner| path.starts_with(owner));
                let named = code(&text).find(|line| line.contains(thing));
                assert!(
                    owned || named.is_none(),
                    "{path} may not name {thing}: {named:?}"
                );
            }
        }
    }
}
