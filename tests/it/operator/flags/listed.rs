//! The flags as `--help` lists them.

use crate::harness::Setup;
use crate::operator::flags::FLAGS;

#[test]
fn help_lists_exactly_the_flags_there_are() {
    let secret = "smtps://user:canary@mail.example.com";
    let setup = Setup::bare().with(&["--help"]).env("AUTH_SMTP", secret);

    let (status, help, err) = setup.run();

    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    assert!(!help.contains("canary"), "{help}");
    for (flag, value, variable, default) in FLAGS {
        let begin = format!("      {flag} {value}").trim_end().to_owned();
        let mut about = help.lines().skip_while(|line| line.trim_end() != begin);
        assert!(about.next().is_some(), "no {begin:?} in {help}");
        let about: Vec<&str> = about
            .take_while(|line| !line.starts_with("      --"))
            .collect();
        let about = about.join("\n");
        let named = [format!("[env: {variable}="), format!("[env: {variable}]")];
        assert!(
            named.iter().any(|name| about.contains(name)),
            "{flag}: {about}"
        );
        if !default.is_empty() {
            assert!(
                about.contains(&format!("[default: {default}]")),
                "{flag}: {about}"
            );
        }
    }
    let listed = help
        .lines()
        .filter(|line| line.starts_with("      --"))
        .count();
    assert_eq!(listed, FLAGS.len(), "{help}");
}
