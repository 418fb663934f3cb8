//! How many pages a second over connections that stay open, and what a page costs, next to others
//! with the same page.

use crate::client::get;
use crate::columns::{alternate, with_our_page};
use crate::crowd::{CONNECTIONS, repeat};
use crate::report::{Goal, Target};
use crate::servers::Pair;
use crate::{glewlwyd, nginx};

pub(crate) fn run() {
    let pair = Pair::new();
    let servers = with_our_page(&pair);
    let [rates, cpu] = alternate(
        &servers,
        |server| server.name,
        |server| repeat(server, &get(server.page, "")),
    );
    rates.print(
        &format!("pages a second, {CONNECTIONS} connections kept open"),
        "/s",
        &[
            Goal::Beside(nginx::NAME, Target::AtLeast(0.6)),
            Goal::Beside(glewlwyd::NAME, Target::AtLeast(1.0)),
        ],
    );
    cpu.print(
        "processor time of the server for each page",
        "ms",
        &[
            Goal::Alone(Target::AtMost(0.045)),
            Goal::Beside(nginx::NAME, Target::AtMost(1.96)),
        ],
    );
}
