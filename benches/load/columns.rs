//! Who is measured side by side, round by round in turn.

use std::array;

use crate::report::{self, Columns};
use crate::servers::{Build, Pair, Server};
use crate::{glewlwyd, hyper_server, nginx};

/// This build, the one before, nginx, Glewlwyd and hyper, as far as they are here, all with our
/// login page.
pub(crate) fn with_our_page(pair: &Pair) -> Vec<Server> {
    let mut servers: Vec<_> = Build::all().iter().map(|build| build.start(pair)).collect();
    let page = servers[0].wait_for_page();
    servers.extend(nginx::start(pair, &page));
    servers.extend(glewlwyd::start(pair, &page));
    servers.push(hyper_server::start(pair, &page));
    servers
}

/// Measures each in every round; what is measured makes one table each.
pub(crate) fn alternate<S, const N: usize>(
    servers: &[S],
    name: impl Fn(&S) -> &'static str,
    mut measure: impl FnMut(&S) -> [f64; N],
) -> [Columns; N] {
    let mut tables = array::from_fn(|_| Columns::new(servers.iter().map(&name)));
    for _ in 0..report::rounds() {
        for (n, server) in servers.iter().enumerate() {
            for (table, value) in tables.iter_mut().zip(measure(server)) {
                table.push(n, value);
            }
        }
    }
    tables
}
