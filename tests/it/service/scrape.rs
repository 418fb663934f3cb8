//! What the metrics show, as a scraper reads it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Answer, PATIENCE, Server, Setup, wait_for};

/// A server, and where its metrics are: one node, since each counts by itself.
pub(super) struct Scraped {
    pub(super) server: Server,
    pub(super) address: String,
}

impl Scraped {
    pub(super) fn start(setup: &Setup) -> Self {
        let server = setup.clone().with(&["--metrics", "0"]).alone().start();
        let address = address_in(&server.log());
        Self { server, address }
    }

    /// An answer of the metrics' own port.
    pub(super) fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Answer::parse(&text)
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(super) fn text(&self) -> String {
        let answer = self.ask("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// All series with their values, without the program's name.
    pub(super) fn series(&self) -> BTreeMap<String, f64> {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let split = lines.map(|line| line.rsplit_once(' ').unwrap());
        split
            .map(|(name, value)| {
                let name = name.strip_prefix("auth_user_").unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// The value of a series; 0 if it is not there.
    pub(super) fn value(&self, series: &str) -> f64 {
        self.series().get(series).copied().unwrap_or(0.0)
    }

    pub(super) fn wait_for_value(&self, series: &str, value: f64) {
        wait_for(&format!("{series} to be {value}"), || {
            (self.value(series) == value).then_some(())
        });
    }
}

/// Where the metrics are, by the log of the start.
pub(super) fn address_in(log: &str) -> String {
    let (_, rest) = log.split_once("metrics are at http://").unwrap();
    rest.split_once("/metrics").unwrap().0.to_owned()
}
