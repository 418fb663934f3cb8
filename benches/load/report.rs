//! Medians of rounds, and the lines of the table.

use std::fmt::Display;

/// How often everything is measured; the median counts.
pub(crate) const ROUNDS: usize = 5;

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

/// One line of the table: what was measured, the number that counts, and what it was to reach.
pub(crate) fn line(what: &str, seen: impl Display, number: f64, target: Target) {
    let (sign, limit, reached) = match target {
        Target::AtLeast(limit) => ("≥", limit, number >= limit),
        Target::AtMost(limit) => ("≤", limit, number <= limit),
    };
    let verdict = if reached { "reached" } else { "MISSED" };
    println!("{what:<44} {seen:<64} target {sign} {limit}: {verdict}");
}

/// A line without a target: something that explains the others, or that could not be measured.
pub(crate) fn note(what: &str, seen: impl Display) {
    println!("{what:<44} {seen}");
}

/// A ratio to somebody else's number, as a line of the table.
pub(crate) fn compare(
    what: &str,
    unit: &str,
    ours: &Series,
    name: &str,
    theirs: &Series,
    target: Target,
) {
    let ratio = ours.over(theirs);
    let seen = format!(
        "{:.0} {unit}, {name} {:.0}: × {:.2} ({})",
        ours.median(),
        theirs.median(),
        ratio.median(),
        ratio.range()
    );
    line(what, seen, ratio.median(), target);
}
