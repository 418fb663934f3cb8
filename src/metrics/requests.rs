//! The answers, by method, route and status.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use prometheus::{IntCounter, IntCounterVec};

use crate::http::Method;

/// The route of everything that is none.
pub const OTHER: &str = "other";

/// Most kinds of answers that are told apart, of some three thousand that could be thought of: a
/// tenth of these happen. What is beyond counts as [`OTHER`].
const MOST: usize = 1_200;

/// Method, route and status.
type Kind = (&'static str, &'static str, u16);

/// The counters of answers. The usual answer finds its own under a lock that nobody waits for.
pub(super) struct Requests {
    family: IntCounterVec,
    known: RwLock<HashMap<Kind, IntCounter>>,
    most: usize,
}

impl Requests {
    pub(super) fn new(family: IntCounterVec) -> Self {
        Self {
            family,
            known: RwLock::default(),
            most: MOST,
        }
    }

    pub(super) fn count(&self, method: Method, route: &'static str, status: u16) {
        let kind = (label(method), route, status);
        // An entry is added whole or not at all, so a panic leaves nothing half done.
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&kind) {
            counter.inc();
            return;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let (method, route, status) = match known.len() < self.most || known.contains_key(&kind) {
            true => kind,
            false => (kind.0, OTHER, status),
        };
        let counter = known.entry((method, route, status)).or_insert_with(|| {
            let labels = [method, route, &status.to_string()];
            self.family.with_label_values(&labels)
        });
        counter.inc();
    }
}

fn label(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Other => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;
    use prometheus::core::Collector as _;

    use super::*;

    #[test]
    fn what_is_beyond_the_bound_is_counted_as_something_else() {
        let labels = ["method", "route", "status"];
        let family = IntCounterVec::new(Opts::new("answers", "Answers."), &labels).unwrap();
        let requests = Requests {
            most: 2,
            ..Requests::new(family.clone())
        };

        for route in ["/", "/login", "/account", "/people", "/"] {
            requests.count(Method::Get, route, 200);
        }

        let counted = |route| family.with_label_values(&["GET", route, "200"]).get();
        assert_eq!((counted("/"), counted("/login"), counted(OTHER)), (2, 1, 2));
        assert_eq!(family.collect()[0].get_metric().len(), 3);
    }
}
