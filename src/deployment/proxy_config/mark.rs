//! How a configuration that this program wrote is recognized: its first line holds a digest of the
//! rest, and the lines below name the applications it is about.

use crate::accounts::token::Digest;

/// Follows the comment sign in the first line.
const MARK: &str = "auth_user proxy-config ";

/// Follows the comment sign in the line of an application.
const APPLICATION: &str = "application: ";

/// A text with a digest of itself before it; `sign` begins a comment.
pub fn marked(sign: &str, text: &str) -> String {
    format!("{sign} {MARK}{}\n{text}", Digest::of(text).short())
}

/// The line of an application, for a text that will be marked.
pub fn application(sign: &str, host: &str, upstream: &str) -> String {
    format!("{sign} {APPLICATION}{host} at {upstream}\n")
}

/// The applications in a text that has not been changed since it was marked; `None` if it has, or
/// never was.
pub fn applications(text: &str) -> Option<Vec<&str>> {
    let (first, rest) = text.split_once('\n')?;
    let (_, digest) = first.split_once(MARK)?;
    if digest != Digest::of(rest).short() {
        return None;
    }
    let hosts = rest.lines().filter_map(|line| {
        let (_, named) = line.split_once(APPLICATION)?;
        named.split(' ').next()
    });
    Some(hosts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_text_is_known_again_until_it_is_changed() {
        let text = format!(
            "{}{}x\n",
            application("#", "a.example.com", "127.0.0.1:1"),
            application("#", "b.example.com", "[::1]:2")
        );
        let marked = marked("#", &text);

        assert_eq!(
            applications(&marked),
            Some(vec!["a.example.com", "b.example.com"])
        );
        for changed in [
            marked.replace('x', "y"),
            format!("{marked}\n"),
            marked.replace("b.example", "c.example"),
            marked.replace('\n', "\r\n"),
            marked.trim_end().to_owned(),
            format!("#\n{marked}"),
            text,
            String::new(),
        ] {
            assert_eq!(applications(&changed), None, "{changed}");
        }
    }
}
