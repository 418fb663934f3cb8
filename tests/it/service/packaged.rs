//! What is shipped for those who watch: alerts and a dashboard, judged by Prometheus's own tool
//! beside a server that runs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Setup, Visitor};
use crate::service::Scraped;

/// What `promtool` says of this, which must be nothing bad.
#[track_caller]
fn judged(arguments: &[&str], input: &str) -> String {
    let mut tool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = tool.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = text(output.stdout) + &text(output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn promtool_finds_nothing_to_say_about_the_metrics() {
    let scraped = Scraped::start(&Setup::new());
    assert_eq!(judged(&["check", "metrics"], &scraped.text()), "");

    Visitor::with_account(&scraped.server, "alice");
    assert_eq!(judged(&["check", "metrics"], &scraped.text()), "");
}

/// Every metric that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let word = |c: char| !c.is_ascii_lowercase() && c != '_';
    let words = text.split(word);
    let ours = words.filter(|word| word.starts_with("auth_user_"));
    ours.map(|name| {
        let parts = ["_bucket", "_sum", "_count"];
        let whole = parts.iter().find_map(|part| name.strip_suffix(part));
        whole.unwrap_or(name).to_owned()
    })
    .collect()
}

fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

/// The queries of the dashboard, for every server.
fn queries() -> Vec<String> {
    let text = fs::read_to_string("packaging/dashboard.json").unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    queries
        .map(|query| query.replace("$instance", ".*"))
        .collect()
}

#[test]
fn alerts_and_dashboard_name_only_what_there_is_and_together_all_of_it() {
    let shown = families(&Scraped::start(&Setup::new()).text());
    let alerts = fs::read_to_string("packaging/alerts.yml").unwrap();
    // `auth_user` alone is the name of the group.
    let mut all = BTreeSet::new();
    for text in [alerts, queries().join("\n")] {
        let named = named(&text);
        assert!(named.len() > 5, "{named:?}");
        for name in &named {
            assert!(shown.contains(name), "{name} is not among {shown:?}");
        }
        all.extend(named);
    }
    assert_eq!(all, shown);
}

#[test]
fn promtool_understands_every_rule_and_query() {
    judged(
        &[
            "check",
            "rules",
            "--lint=all",
            "--lint-fatal",
            "packaging/alerts.yml",
        ],
        "",
    );

    let record = |(n, query): (usize, &String)| json!({ "record": format!("q{n}"), "expr": query });
    let rules: Vec<Value> = queries().iter().enumerate().map(record).collect();
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let dir = tempfile::tempdir().unwrap();
    // JSON is YAML too.
    let file = dir.path().join("queries.yml");
    fs::write(&file, groups.to_string()).unwrap();
    judged(&["check", "rules", file.to_str().unwrap()], "");
}

/// Series, and what happens to them minute by minute.
type Happens = &'static [(&'static str, &'static str)];

/// What happens, and which alerts it must have raised after three quarters of an hour.
const RAISED: &[(Happens, &[&str])] = &[
    (
        &[
            ("auth_user_build_info", "1x60"),
            ("auth_user_healthy", "1x60"),
        ],
        &[],
    ),
    (&[], &["AuthUserGone"]),
    // One of two that went, and one that was replaced by a later version.
    (
        &[
            ("auth_user_build_info{instance=\"one\"}", "1x60"),
            ("auth_user_build_info{instance=\"two\"}", "1x30 _x30"),
        ],
        &["AuthUserGone"],
    ),
    (
        &[
            ("auth_user_build_info{version=\"1\"}", "1x30 _x30"),
            ("auth_user_build_info{version=\"2\"}", "_x30 1x30"),
        ],
        &[],
    ),
    (
        &[("auth_user_healthy", "0x60")],
        &["AuthUserGone", "AuthUserUnhealthy"],
    ),
    (
        &[
            ("auth_user_build_info", "1x60"),
            ("auth_user_saves_total{result=\"failed\"}", "0+1x60"),
        ],
        &["AuthUserSavesFail"],
    ),
    (
        &[
            ("auth_user_build_info", "1x60"),
            ("auth_user_mail_failed_total", "0+1x60"),
            ("auth_user_mail_sent_total", "7x60"),
        ],
        &["AuthUserMailStuck"],
    ),
    (
        &[
            ("auth_user_build_info", "1x60"),
            ("auth_user_logins_total{result=\"wrong_code\"}", "0+120x60"),
            (
                "auth_user_logins_total{result=\"login_complete\"}",
                "0+600x60",
            ),
        ],
        &["AuthUserGuessing"],
    ),
    (
        &[
            ("auth_user_build_info", "1x60"),
            (
                "auth_user_requests_total{status=\"503\",route=\"/login\"}",
                "0+10x60",
            ),
            (
                "auth_user_requests_total{status=\"200\",route=\"/login\"}",
                "0+10x60",
            ),
        ],
        &["AuthUserErrors"],
    ),
];

#[test]
fn alerts_are_raised_by_what_they_are_for_and_by_nothing_else() {
    let all = fs::read_to_string("packaging/alerts.yml").unwrap();
    let all: Vec<&str> = all
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let rules = Path::new("packaging/alerts.yml").canonicalize().unwrap();
    let tests: Vec<Value> = RAISED
        .iter()
        .map(|(happened, raised)| {
            let series: Vec<Value> = happened
                .iter()
                .map(|(series, values)| json!({ "series": series, "values": values }))
                .collect();
            // A test of an alert wants all labels of what was raised; its name alone says enough.
            let expectations: Vec<Value> = all
                .iter()
                .map(|alert| {
                    let count = usize::from(raised.contains(alert));
                    json!({
                        "expr": format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}) or vector(0)"),
                        "eval_time": "45m",
                        "exp_samples": [{ "labels": "{}", "value": count }],
                    })
                })
                .collect();
            json!({ "interval": "1m", "input_series": series, "promql_expr_test": expectations })
        })
        .collect();
    tested(&json!([rules]), &tests);
}

/// Has these tests of rules pass.
#[track_caller]
fn tested(rules: &Value, tests: &[Value]) {
    let file = json!({ "rule_files": rules, "evaluation_interval": "1m", "tests": tests });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tested.yml");
    fs::write(&path, file.to_string()).unwrap();
    judged(&["test", "rules", path.to_str().unwrap()], "");
}

#[test]
fn what_all_nodes_of_a_database_show_is_not_added_up() {
    let queries = queries();
    let shared = ["accounts", "sessions", "mail_waiting"].map(|name| format!("auth_user_{name}"));
    let tests = shared.map(|name| {
        let query = queries.iter().find(|query| query.contains(&name)).unwrap();
        let of =
            |node| json!({ "series": format!("{name}{{instance=\"{node}\"}}"), "values": "3x5" });
        json!({
            "interval": "1m",
            "input_series": [of("one"), of("two")],
            "promql_expr_test": [{
                "expr": format!("max({query})"),
                "eval_time": "3m",
                "exp_samples": [{ "labels": "{}", "value": 3 }],
            }],
        })
    });
    tested(&json!([]), &tests);
}
