//! What a client gets back.

use serde_json::Value;

/// An answer as a client sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// An answer as it came over the wire.
    pub(crate) fn parse(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap()[9..12].parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_owned(),
        }
    }

    /// The cookie of that name as this answer sets it, if it does.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self
            .headers
            .iter()
            .filter(|(field, _)| field == "set-cookie");
        cookies
            .map(|(_, cookie)| cookie.as_str())
            .find(|cookie| cookie.starts_with(&format!("{name}=")))
    }

    /// Fails the test unless the answer has this code.
    #[track_caller]
    pub(crate) fn expect(&self, code: &str) {
        assert_eq!(self.json()["code"], code, "{self:?}");
    }

    pub(crate) fn recovery_codes(&self) -> Vec<String> {
        let codes = self.json()["recovery_codes"].clone();
        codes
            .as_array()
            .unwrap()
            .iter()
            .map(|code| code.as_str().unwrap().to_owned())
            .collect()
    }
}
