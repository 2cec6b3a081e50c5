//! The result of benchmarks, and its forms for files and people.

use antiphon_lab::grade::{self, Grade};
use antiphon_lab::statistics::{mean, percentile};
use serde::{Deserialize, Serialize};

use crate::cli::table::table;

/// The result of one run of benchmarks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// The version of the program.
    pub(crate) version: String,
    /// The commit from which the program was built.
    pub(crate) commit: String,
    /// The machine: processor, cores, memory.
    pub(crate) machine: String,
    /// The names of the configured engines, of which the results hold.
    pub(crate) engines: String,
    /// When it was measured, in seconds since 1970.
    pub(crate) at: u64,
    /// The results, component by component.
    pub(crate) components: Vec<Measured>,
    /// The grade of the results; null when too little was measured.
    pub(crate) grade: Option<Grade>,
}

/// The result of one component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) component: String,
    pub(crate) engine: String,
    pub(crate) iterations: usize,
    /// The time of the whole iteration, followed by those of its parts.
    pub(crate) metrics: Vec<Metric>,
    /// How many items are processed each second when iterations run one after the other.
    pub(crate) per_second: f64,
    /// Processing time divided by the length of the audio; null where there is no audio.
    pub(crate) real_time_factor: Option<f64>,
    /// Memory allocations in each iteration; null when the allocator does not count them.
    pub(crate) allocations: Option<f64>,
    /// CPU time of all threads in each iteration.
    pub(crate) cpu_ms: f64,
}

/// How long something took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) mean_ms: f64,
    pub(crate) min_ms: f64,
    pub(crate) max_ms: f64,
    /// The samples in the order in which they were measured.
    pub(crate) samples_ms: Vec<f64>,
}

impl Metric {
    pub(super) fn new(name: &str, samples: Vec<f64>) -> Self {
        let at = |share| percentile(&samples, share).unwrap_or_default();
        Self {
            name: name.to_owned(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            mean_ms: mean(&samples).unwrap_or_default(),
            min_ms: at(0.0),
            max_ms: at(1.0),
            samples_ms: samples,
        }
    }
}

impl Measured {
    /// The time of the whole iteration.
    pub(crate) fn total(&self) -> Option<&Metric> {
        self.metrics.first()
    }

    fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// The grade that the results have by the published thresholds.
pub(super) fn grade(components: &[Measured]) -> Option<Grade> {
    use grade::Metric as Graded;
    let component = |name: &str| components.iter().find(|measured| measured.component == name);
    let mut measured = Vec::new();
    let mut add = |metric, value: Option<f64>| {
        measured.extend(value.map(|value| grade::Measured { metric, value }));
    };
    if let Some(pipeline) = component("pipeline") {
        add(Graded::TurnP50Ms, pipeline.total().map(|total| total.p50_ms));
        add(Graded::TurnP95Ms, pipeline.total().map(|total| total.p95_ms));
        add(Graded::OverheadP95Ms, pipeline.metric("overhead").map(|overhead| overhead.p95_ms));
    }
    for (metric, engine) in [(Graded::SttRealTimeFactor, "stt"), (Graded::TtsRealTimeFactor, "tts")] {
        add(metric, component(engine).and_then(|measured| measured.real_time_factor));
    }
    grade::grade(&measured)
}

impl RunResult {
    pub(crate) fn csv(&self) -> String {
        let mut lines = vec![
            "component,engine,metric,iterations,p50_ms,p95_ms,p99_ms,mean_ms,min_ms,max_ms,per_second,\
             real_time_factor,allocations,cpu_ms"
                .to_owned(),
        ];
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        for measured in &self.components {
            for metric in &measured.metrics {
                lines.push(format!(
                    "{},\"{}\",{},{},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.2},{},{},{:.3}",
                    measured.component,
                    measured.engine.replace('"', "'"),
                    metric.name,
                    measured.iterations,
                    metric.p50_ms,
                    metric.p95_ms,
                    metric.p99_ms,
                    metric.mean_ms,
                    metric.min_ms,
                    metric.max_ms,
                    measured.per_second,
                    optional(measured.real_time_factor),
                    optional(measured.allocations),
                    measured.cpu_ms,
                ));
            }
        }
        lines.join("\n")
    }

    pub(crate) fn markdown(&self) -> String {
        let mut lines = vec![
            format!("{}, commit {}, {}", self.machine, self.commit, self.engines),
            String::new(),
            "| component | engine | metric | p50 ms | p95 ms | p99 ms | per s | × real time | allocations | CPU ms |"
                .to_owned(),
            "|---|---|---|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
        ];
        for row in self.rows() {
            lines.push(format!("| {} |", row.join(" | ")));
        }
        lines.join("\n") + &self.graded()
    }

    pub(crate) fn table(&self) -> String {
        let mut table = table(
            [
                "COMPONENT",
                "ENGINE",
                "METRIC",
                "P50 MS",
                "P95 MS",
                "P99 MS",
                "PER S",
                "× REAL TIME",
                "ALLOCATIONS",
                "CPU MS",
            ],
            3..10,
        );
        for row in self.rows() {
            table.add_row(row);
        }
        format!("{table}{}", self.graded())
    }

    fn rows(&self) -> Vec<[String; 10]> {
        let mut rows = Vec::new();
        for measured in &self.components {
            for (n, metric) in measured.metrics.iter().enumerate() {
                // Values that hold for the whole iteration are printed only once, in its first row.
                let once = |text: String| if n == 0 { text } else { String::new() };
                let optional =
                    |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
                rows.push([
                    once(measured.component.clone()),
                    once(measured.engine.clone()),
                    metric.name.clone(),
                    format!("{:.2}", metric.p50_ms),
                    format!("{:.2}", metric.p95_ms),
                    format!("{:.2}", metric.p99_ms),
                    once(format!("{:.1}", measured.per_second)),
                    once(optional(measured.real_time_factor)),
                    once(measured.allocations.map_or_else(|| "-".to_owned(), |count| format!("{count:.0}"))),
                    once(format!("{:.1}", measured.cpu_ms)),
                ]);
            }
        }
        rows
    }

    fn graded(&self) -> String {
        let Some(grade) = &self.grade else { return String::new() };
        let reasons: Vec<String> = grade.reasons.iter().map(|reason| format!("  {reason}")).collect();
        format!("\n\ngrade {}\n{}", grade.letter, reasons.join("\n"))
    }
}
