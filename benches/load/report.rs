//! Medians of rounds, and the lines of the table.

use std::env;
use std::fmt::Display;
use std::time::Duration;

use crate::nginx;

/// To see quickly whether a row works, or whether a change matters much.
pub(crate) const SHORT: &str = "--short";

/// How often everything is measured; the median counts.
pub(crate) fn rounds() -> usize {
    if is_short() { 3 } else { 5 }
}

/// How long one round takes, of a measurement that takes this long when there is time.
pub(crate) fn round(long: Duration) -> Duration {
    if is_short() { long / 3 } else { long }
}

/// How often something is tried that is tried so often when there is time.
#[cfg(feature = "databases")]
pub(crate) fn often(long: usize) -> usize {
    if is_short() { long / 10 } else { long }
}

fn is_short() -> bool {
    env::args().any(|argument| argument == SHORT)
}

/// One measured thing: a value for each round, in their order.
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        Self(values.into_iter().collect())
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The smallest value that this part of all values does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (part * sorted.len() as f64).ceil() as usize;
        sorted[index.clamp(1, sorted.len()) - 1]
    }

    /// Round by round, this divided by that.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self::new(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(ours, theirs)| ours / theirs),
        )
    }

    /// Lowest and highest, to see how steady the machine was.
    pub(crate) fn range(&self) -> String {
        format!("{:.2} to {:.2}", self.quantile(0.0), self.quantile(1.0))
    }
}

/// What a number is to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// The limit, and whether it was reached.
    fn judged(self, number: f64) -> String {
        let (sign, limit, reached) = match self {
            Self::AtLeast(limit) => ("≥", limit, number >= limit),
            Self::AtMost(limit) => ("≤", limit, number <= limit),
        };
        let verdict = if reached { "reached" } else { "MISSED" };
        format!("{sign} {limit}: {verdict}")
    }
}

/// One line of the table: what was measured, the number that counts, and what it was to reach.
pub(crate) fn line(what: &str, seen: impl Display, number: f64, target: Target) {
    println!("{what:<44} {seen:<64} target {}", target.judged(number));
}

/// A line without a target: something that explains the others, or that could not be measured.
pub(crate) fn note(what: &str, seen: impl Display) {
    println!("{what:<44} {seen}");
}

/// What a column's number, the first one's, is to reach.
pub(crate) enum Goal {
    /// The number itself.
    Alone(Target),
    /// Divided by that of another column, round by round.
    Beside(&'static str, Target),
}

/// The same thing measured for several servers, of which the first is the one in question.
pub(crate) struct Columns(Vec<(&'static str, Series)>);

impl Columns {
    pub(crate) fn new(names: impl Iterator<Item = &'static str>) -> Self {
        Self(names.map(|name| (name, Series(Vec::new()))).collect())
    }

    pub(crate) fn push(&mut self, column: usize, value: f64) {
        self.0[column].1.0.push(value);
    }

    /// Each with its ratio to nginx, then what was to be reached. Goals beside one that is not here
    /// are left out.
    pub(crate) fn print(&self, what: &str, unit: &str, goals: &[Goal]) {
        println!("{what}");
        for (name, series) in &self.0 {
            let median = series.median();
            let digits = if median < 10.0 { 3 } else { 1 };
            let (lowest, highest) = (series.quantile(0.0), series.quantile(1.0));
            let beside = match self.series(nginx::NAME) {
                Some(theirs) if *name != nginx::NAME => {
                    let ratio = series.over(theirs);
                    format!("× {:.2} of nginx ({})", ratio.median(), ratio.range())
                }
                _ => format!("({lowest:.digits$} to {highest:.digits$})"),
            };
            println!("    {name:<20} {median:>10.digits$} {unit:<4} {beside}");
        }
        for goal in goals {
            self.judge(unit, goal);
        }
    }

    /// The median of a column.
    #[cfg(feature = "databases")]
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.series(name).unwrap().median()
    }

    fn judge(&self, unit: &str, goal: &Goal) {
        let (_, ours) = &self.0[0];
        let (number, target, of) = match goal {
            Goal::Alone(target) => (ours.median(), target, unit.to_owned()),
            Goal::Beside(name, target) => match self.series(name) {
                Some(theirs) => (ours.over(theirs).median(), target, format!("× {name}")),
                None => return,
            },
        };
        let target = target.judged(number);
        println!("    target {target}, {number:.3} {of}");
    }

    /// The median of the one in question.
    pub(crate) fn ours(&self) -> f64 {
        self.0[0].1.median()
    }

    fn series(&self, name: &str) -> Option<&Series> {
        let found = self.0.iter().find(|(column, _)| *column == name);
        found.map(|(_, series)| series)
    }
}
