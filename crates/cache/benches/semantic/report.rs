//! Counts and how they are printed.

/// 95 % of the normal distribution, two-sided.
const Z: f64 = 1.96;

/// What became of a stream of questions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// How many questions were asked.
    asked: u32,
    /// Of them, those to which a right reply was cached.
    answerable: u32,
    /// Hits that were right.
    right: u32,
    /// Hits that were wrong.
    wrong: u32,
    /// Hits of which nobody said whether they were right. They are part of no share.
    unlabelled: u32,
}

impl Tally {
    /// A question, and whether a right reply was cached.
    pub(crate) fn ask(&mut self, answerable: bool) {
        self.asked += 1;
        self.answerable += u32::from(answerable);
    }

    /// A hit, with its label if it has one.
    pub(crate) fn hit(&mut self, label: Option<bool>) {
        match label {
            Some(true) => self.right += 1,
            Some(false) => self.wrong += 1,
            None => self.unlabelled += 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.answerable += other.answerable;
        self.right += other.right;
        self.wrong += other.wrong;
        self.unlabelled += other.unlabelled;
    }

    /// A line of the table; counts are of all seeds together.
    pub(crate) fn print(&self, name: &str) {
        let hits = self.right + self.wrong;
        println!(
            "{name:<40}{:>7}{:>6}{:>7}  {}  {}  {}  {:>5.1}%",
            self.right,
            self.wrong,
            self.unlabelled,
            share(self.wrong, hits),
            share(self.wrong, self.asked),
            share(self.wrong, self.asked - self.answerable),
            100.0 * f64::from(self.right) / f64::from(self.answerable.max(1)),
        );
    }
}

/// Above the columns: hits that were right, wrong, without a label; the share of wrong ones among hits, among all
/// questions, among questions without a right reply; and of those with one the share that was given it.
pub(crate) fn head() {
    println!(
        "{:<40}{:>7}{:>6}{:>7}  {:<20}  {:<20}  {:<20}  {:>6}",
        "", "right", "wrong", "other", "wrong/hits", "wrong/asked", "wrong/unanswerable", "found"
    );
}

/// A share with its interval of 95 % (Wilson, 1927).
fn share(part: u32, whole: u32) -> String {
    if whole == 0 {
        return format!("{:<20}", "    -");
    }
    let (n, p) = (f64::from(whole), f64::from(part) / f64::from(whole));
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let interval = format!("{:.2}-{:.2}", 100.0 * (middle - half).max(0.0), 100.0 * (middle + half));
    format!("{:5.2}% ({interval:<11})", 100.0 * p)
}
