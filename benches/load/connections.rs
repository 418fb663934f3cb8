//! How many new connections a second with one page each, and what one costs: with a full handshake,
//! or for clients that offer the ticket of their last visit. Next to others with the same page, and
//! to the Python server named by `BENCH_SCRIPT`, if one is.

use crate::client::KeyExchange;
use crate::columns::{alternate, with_our_page};
use crate::crowd::{Tickets, visit};
use crate::report::{Columns, Goal, Target};
use crate::servers::{Pair, Server};
use crate::{glewlwyd, nginx, script};

const RATES: [Goal; 3] = [
    Goal::Beside(nginx::NAME, Target::AtLeast(1.1)),
    Goal::Beside(glewlwyd::NAME, Target::AtLeast(1.0)),
    Goal::Beside(script::NAME, Target::AtLeast(3.0)),
];
const COST: &str = "processor time of the server for each";

pub(crate) fn run() {
    let pair = Pair::new();
    let mut servers = with_our_page(&pair);
    servers.extend(script::start());

    let (rates, cpu, _) = side_by_side(&servers, KeyExchange::X25519, Tickets::Never);
    rates.print(&title("X25519, no ticket"), "/s", &RATES);
    let goals = [
        Goal::Alone(Target::AtMost(0.35)),
        Goal::Beside(nginx::NAME, Target::AtMost(0.83)),
    ];
    cpu.print(COST, "ms", &goals);
    let in_full = (cpu.ours() * 1000.0).round() / 1000.0;

    let (rates, cpu, resumed) = side_by_side(&servers, KeyExchange::X25519, Tickets::Always);
    rates.print(&title("X25519, ticket offered"), "/s", &[]);
    // No more than without a ticket.
    cpu.print(COST, "ms", &[Goal::Alone(Target::AtMost(in_full))]);
    let all = Goal::Alone(Target::AtLeast(99.0));
    resumed.print("of a hundred who came again, resumed", "%", &[all]);

    // More work for those who know the newer keys.
    let (rates, cpu, _) = side_by_side(&servers, KeyExchange::AsBrowsers, Tickets::Never);
    rates.print(&title("keys as browsers, no ticket"), "/s", &RATES);
    cpu.print(COST, "ms", &[]);
}

fn title(kind: &str) -> String {
    format!("new connections a second, one page each, {kind}")
}

fn side_by_side(
    servers: &[Server],
    keys: KeyExchange,
    tickets: Tickets,
) -> (Columns, Columns, Columns) {
    let [rates, cpu, resumed] = alternate(
        servers,
        |server| server.name,
        |server| visit(server, keys, tickets),
    );
    (rates, cpu, resumed)
}
