//! A performance grade from A+ to D, with its reasons. The worst metric decides the grade.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The letters that have a limit, the best first. Whatever misses them all gets a D.
const LETTERS: [Letter; 4] = [Letter::APlus, Letter::A, Letter::B, Letter::C];

/// What can be graded. For all metrics lower is better.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Median time from the end of the caller's speech to the reply's first sound, in ms.
    TurnP50Ms,
    /// 95th percentile of the same, in ms.
    TurnP95Ms,
    /// 95th percentile of the time from the caller's interruption to the agent's silence, in ms.
    InterruptionP95Ms,
    /// 95th percentile of the time the server itself adds to a turn beyond its engines, in ms.
    OverheadP95Ms,
    /// Share of turns or calls that failed, 0 to 1.
    ErrorRate,
    /// The server's CPU time for one second of one call, in ms.
    CpuMsPerCallSecond,
    /// Time to transcribe speech over the speech's length.
    SttRealTimeFactor,
    /// Time to synthesize speech over the speech's length.
    TtsRealTimeFactor,
}

/// A metric with the value that was measured.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Measured {
    /// The metric whose value it is.
    pub metric: Metric,
    /// Its value in the metric's unit.
    pub value: f64,
}

/// A letter grade. In the order of the type a worse letter is greater.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Letter {
    /// Every metric is excellent.
    #[serde(rename = "A+")]
    APlus,
    /// Every metric is good or better.
    A,
    /// The worst metric is fair.
    B,
    /// The worst metric is poor.
    C,
    /// At least one metric is so bad that callers suffer.
    D,
}

/// The grade of a whole server.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Grade {
    /// The worst letter of all reasons.
    pub letter: Letter,
    /// One for each measured number, the worst first.
    pub reasons: Vec<Reason>,
}

/// Why a metric has its letter; displays as a sentence.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Reason {
    /// The metric that has this letter.
    pub metric: Metric,
    /// Its value in the metric's unit.
    pub value: f64,
    /// The letter that the value earns.
    pub letter: Letter,
    /// What the next better letter needs; `None` for A+.
    pub next: Option<Need>,
}

/// The condition of a letter.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Need {
    /// The letter that is to be earned.
    pub letter: Letter,
    /// The greatest value that earns it, in the metric's unit.
    pub limit: f64,
}

/// Grades what was measured. Values that are NaN are ignored; `None` when nothing is left.
pub fn grade(measured: &[Measured]) -> Option<Grade> {
    let mut reasons: Vec<Reason> = measured
        .iter()
        .filter(|measured| !measured.value.is_nan())
        .map(|&measured| reason(measured))
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.letter));
    Some(Grade { letter: reasons.first()?.letter, reasons })
}

fn reason(Measured { metric, value }: Measured) -> Reason {
    let needs = LETTERS.into_iter().zip(metric.limits()).map(|(letter, limit)| Need { letter, limit });
    let (met, missed): (Vec<Need>, Vec<Need>) = needs.partition(|need| value <= need.limit);
    let letter = met.first().map_or(Letter::D, |need| need.letter);
    Reason { metric, value, letter, next: missed.last().copied() }
}

#[derive(Clone, Copy)]
enum Unit {
    Ms,
    Share,
    MsPerSecond,
    RealTimes,
}

impl Metric {
    /// The greatest values that earn A+, A, B and C.
    ///
    /// Turns: people answer after about 200 ms (Stivers et al. 2009), but they plan speech for over 600 ms (Levinson & Torreira
    /// 2015), and a delay of 1 s breaks the flow of thought (Nielsen 1993). So A+ and A sound like a quick person and B like a
    /// slow one, and a C is noticed. One turn in twenty may take about twice as long before callers speak into the silence.
    ///
    /// Interruptions: a good telephone line delays speech by up to 150 ms, and more than 400 ms is unacceptable (ITU-T G.114).
    /// If the agent stops later than that, both sides talk at once.
    ///
    /// Errors: three nines are excellent, and more than one failure in twenty makes a service unusable.
    ///
    /// Overhead, CPU time and real-time factors have a scale of this project. With 3 ms of CPU time a second one core holds over
    /// 300 calls, with 40 ms it holds 25. Beyond a real-time factor of 1 an engine cannot keep up with speech.
    const fn limits(self) -> [f64; 4] {
        match self {
            Self::TurnP50Ms => [400.0, 500.0, 800.0, 1200.0],
            Self::TurnP95Ms => [700.0, 900.0, 1500.0, 2500.0],
            Self::InterruptionP95Ms => [200.0, 300.0, 500.0, 1000.0],
            Self::OverheadP95Ms => [15.0, 30.0, 60.0, 150.0],
            Self::ErrorRate => [0.001, 0.005, 0.01, 0.05],
            Self::CpuMsPerCallSecond => [3.0, 6.0, 15.0, 40.0],
            Self::SttRealTimeFactor | Self::TtsRealTimeFactor => [0.1, 0.2, 0.5, 1.0],
        }
    }

    const fn unit(self) -> Unit {
        match self {
            Self::TurnP50Ms | Self::TurnP95Ms | Self::InterruptionP95Ms | Self::OverheadP95Ms => Unit::Ms,
            Self::ErrorRate => Unit::Share,
            Self::CpuMsPerCallSecond => Unit::MsPerSecond,
            Self::SttRealTimeFactor | Self::TtsRealTimeFactor => Unit::RealTimes,
        }
    }

    fn with_unit(self, value: f64) -> String {
        match self.unit() {
            Unit::Ms => format!("{} ms", rounded_up(value)),
            Unit::Share => format!("{} %", rounded_up(value * 100.0)),
            Unit::MsPerSecond => format!("{} ms/s", rounded_up(value)),
            Unit::RealTimes => format!("{} times the speech", rounded_up(value)),
        }
    }
}

/// The value with three significant digits, or with all digits before the point. It is rounded up, so that a value just over a
/// limit does not read like the limit.
fn rounded_up(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi((2 - value.abs().log10().floor() as i32).clamp(0, 6));
    (value * scale - 1e-6).ceil() / scale
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TurnP50Ms => "Turn latency (median)",
            Self::TurnP95Ms => "Turn latency (p95)",
            Self::InterruptionP95Ms => "Silence after an interruption (p95)",
            Self::OverheadP95Ms => "Server overhead (p95)",
            Self::ErrorRate => "Error rate",
            Self::CpuMsPerCallSecond => "CPU time per call",
            Self::SttRealTimeFactor => "Speech recognition time",
            Self::TtsRealTimeFactor => "Speech synthesis time",
        })
    }
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::APlus => "A+",
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, value, letter, next } = self;
        write!(f, "{metric} is {}: {letter}.", metric.with_unit(*value))?;
        match next {
            Some(Need { letter, limit }) => {
                write!(f, " {letter} needs {} or less.", metric.with_unit(*limit))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(metric: Metric, value: f64) -> Letter {
        grade(&[Measured { metric, value }]).unwrap().letter
    }

    #[test]
    fn limits_belong_to_the_better_letter() {
        for (value, wanted) in [
            (0.0, Letter::APlus),
            (400.0, Letter::APlus),
            (400.1, Letter::A),
            (500.0, Letter::A),
            (800.0, Letter::B),
            (1200.0, Letter::C),
            (1200.1, Letter::D),
            (f64::INFINITY, Letter::D),
        ] {
            assert_eq!(letter(Metric::TurnP50Ms, value), wanted, "{value}");
        }
        assert_eq!(letter(Metric::ErrorRate, 0.02), Letter::C);
        assert_eq!(letter(Metric::TtsRealTimeFactor, 0.15), Letter::A);
    }

    #[test]
    fn the_weakest_link_is_the_grade_and_comes_first() {
        let grade = grade(&[
            Measured { metric: Metric::TurnP50Ms, value: 350.0 },
            Measured { metric: Metric::ErrorRate, value: 0.03 },
            Measured { metric: Metric::CpuMsPerCallSecond, value: 5.0 },
        ])
        .unwrap();
        assert_eq!(grade.letter, Letter::C);
        let letters: Vec<String> = grade.reasons.iter().map(|reason| reason.letter.to_string()).collect();
        assert_eq!(letters, ["C", "A", "A+"]);
    }

    #[test]
    fn reasons_read_as_sentences() {
        for (metric, value, wanted) in [
            (Metric::TurnP50Ms, 449.6, "Turn latency (median) is 450 ms: A. A+ needs 400 ms or less."),
            (Metric::TurnP95Ms, 2500.1, "Turn latency (p95) is 2501 ms: D. C needs 2500 ms or less."),
            (Metric::ErrorRate, 0.006, "Error rate is 0.6 %: B. A needs 0.5 % or less."),
            (Metric::ErrorRate, 0.0, "Error rate is 0 %: A+."),
            (
                Metric::CpuMsPerCallSecond,
                3.456,
                "CPU time per call is 3.46 ms/s: A. A+ needs 3 ms/s or less.",
            ),
            (
                Metric::SttRealTimeFactor,
                0.1234,
                "Speech recognition time is 0.124 times the speech: A. A+ needs 0.1 times the speech or less.",
            ),
        ] {
            assert_eq!(reason(Measured { metric, value }).to_string(), wanted);
        }
    }

    #[test]
    fn what_was_not_measured_is_not_graded() {
        assert_eq!(grade(&[]), None);
        let nan = Measured { metric: Metric::TurnP50Ms, value: f64::NAN };
        assert_eq!(grade(&[nan]), None);
        let grade = grade(&[nan, Measured { metric: Metric::TurnP95Ms, value: 800.0 }]).unwrap();
        assert_eq!((grade.letter, grade.reasons.len()), (Letter::A, 1));
    }

    #[test]
    fn a_grade_survives_json() {
        let grade = grade(&[Measured { metric: Metric::TurnP50Ms, value: 100.0 }]).unwrap();
        let json = serde_json::to_string(&grade).unwrap();
        assert_eq!(
            json,
            r#"{"letter":"A+","reasons":[{"metric":"turn_p50_ms","value":100.0,"letter":"A+","next":null}]}"#
        );
        assert_eq!(serde_json::from_str::<Grade>(&json).unwrap(), grade);
    }
}
