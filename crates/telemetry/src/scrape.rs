//! Prometheus metrics of all components and of the process, computed at each scrape.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use antiphon_core::measure::Component;

use crate::alerts::Rule;
use crate::history::Period;
use crate::process::ProcessUsage;
use crate::watcher::Watcher;

/// Percentiles cover the last minute. Over the server's whole life they would hardly move.
const WINDOW: Duration = Duration::from_mins(1);
/// The quantiles exported of each stage, and their labels.
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")];

/// Reads the components of the server, once there is one.
#[derive(Clone, Default)]
pub(crate) struct Scrape(pub(crate) Arc<OnceLock<Arc<Watcher>>>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        process(&mut encoder)?;
        match self.0.get() {
            Some(watcher) => components(&mut encoder, watcher),
            None => Ok(()),
        }
    }
}

/// The process metrics, under the names that all Prometheus client libraries use, and the number of the runtime's
/// live tasks.
fn process(encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
    let usage = ProcessUsage::now();
    let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: i64| {
        let gauge = ConstGauge::new(value);
        gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
    };
    gauge("process_resident_memory", "Resident memory", Some(&Unit::Bytes), usage.resident_bytes as i64)?;
    gauge("process_threads", "Threads of the operating system", None, usage.threads as i64)?;
    gauge("process_open_fds", "Open file descriptors", None, usage.open_files as i64)?;
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let tasks = runtime.metrics().num_alive_tasks() as i64;
        gauge("antiphon_tokio_tasks_alive", "Tasks not yet finished", None, tasks)?;
    }
    let cpu = ConstCounter::new(usage.cpu_s);
    let (name, help) = ("process_cpu", "User and system time");
    cpu.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), cpu.metric_type())?)
}

fn components(encoder: &mut DescriptorEncoder, watcher: &Watcher) -> Result<(), fmt::Error> {
    let components = watcher.monitor().components();
    let periods = watcher.monitor().periods(WINDOW);
    let recent = Period::merged(periods.iter().map(Arc::as_ref)).unwrap_or_default();
    let help = "How long a stage took: quantiles over the last minute";
    let mut quantiles = family(encoder, "antiphon_stage_seconds", help)?;
    for (key, spans) in &recent.stages {
        for (share, label) in QUANTILES {
            let labels =
                [("component", key.component.as_ref()), ("stage", key.name.as_ref()), ("quantile", label)];
            one(&mut quantiles, &labels, spans.spans.percentile(share).as_secs_f64())?;
        }
    }
    // Totals since the start. The lines of one metric must stand together, so each stage is read once and written
    // three times.
    let stages: Vec<_> = components
        .iter()
        .flat_map(|part| part.stages().into_iter().map(|stage| (part.name(), stage)))
        .map(|(part, stage)| {
            ([("component", part), ("stage", stage.name())], stage.spans().snapshot(), stage.errors())
        })
        .collect();
    let mut counts = family(encoder, "antiphon_stage_seconds_count", "How often a stage took place")?;
    for (labels, spans, _) in &stages {
        one(&mut counts, labels, spans.count() as f64)?;
    }
    let mut sums = family(encoder, "antiphon_stage_seconds_sum", "How long a stage took, all in all")?;
    for (labels, spans, _) in &stages {
        one(&mut sums, labels, spans.sum().as_secs_f64())?;
    }
    let help = "Failures of a stage";
    let mut errors = encoder.encode_descriptor("antiphon_stage_errors", help, None, MetricType::Counter)?;
    for (labels, _, count) in &stages {
        ConstCounter::new(*count).encode(errors.encode_family(labels)?)?;
    }
    let levels: Vec<_> = components.iter().map(|part| (part.name(), part.levels())).collect();
    let mut values = family(encoder, "antiphon_level", "What rises and falls, by component")?;
    for (component, levels) in &levels {
        for level in levels {
            one(&mut values, &[("component", component), ("name", level.name.as_ref())], level.value)?;
        }
    }
    let mut limits = family(encoder, "antiphon_level_limit", "What a level cannot exceed")?;
    for (component, levels) in &levels {
        for level in levels {
            if let Some(limit) = level.limit {
                one(&mut limits, &[("component", component), ("name", level.name.as_ref())], limit)?;
            }
        }
    }
    named(encoder, &components)?;
    let mut firing = family(encoder, "antiphon_alerts_firing", "Alerts that fire now")?;
    for rule in Rule::ALL {
        one(&mut firing, &[("rule", rule.label())], watcher.alerts_firing(rule) as f64)?;
    }
    let help = "Alerts that have fired";
    let mut fired = encoder.encode_descriptor("antiphon_alerts", help, None, MetricType::Counter)?;
    for rule in Rule::ALL {
        ConstCounter::new(watcher.alerts_fired(rule))
            .encode(fired.encode_family(&[("rule", rule.label())])?)?;
    }
    Ok(())
}

/// The metrics to which components give a name of their own. The lines of one metric must stand together, whichever
/// components they come from. The encoder appends `_total` to counters itself.
fn named(encoder: &mut DescriptorEncoder, components: &[Arc<dyn Component>]) -> Result<(), fmt::Error> {
    let mut gauges: Vec<_> = components.iter().flat_map(|part| part.gauges()).collect();
    gauges.sort_by_key(|gauge| gauge.name);
    for metric in gauges.chunk_by(|a, b| a.name == b.name) {
        let (name, help) = (metric[0].name, metric[0].help);
        let counted = name.strip_suffix("_total");
        let mut lines = match counted {
            Some(name) => encoder.encode_descriptor(name, help, None, MetricType::Counter)?,
            None => family(encoder, name, help)?,
        };
        for gauge in metric {
            let labels: Vec<(&str, &str)> =
                gauge.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mut line = lines.encode_family(&labels)?;
            match counted {
                Some(_) => ConstCounter::new(gauge.value).encode(line)?,
                None => line.encode_gauge(&gauge.value)?,
            }
        }
    }
    Ok(())
}

fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn one<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    value: f64,
) -> Result<(), fmt::Error> {
    family.encode_family(labels)?.encode_gauge(&value)
}

#[cfg(test)]
mod tests {
    use antiphon_core::measure::Gauge;

    use super::*;
    use crate::{Metrics, Monitor};

    /// A component with a metric of its own.
    struct Sold(&'static str);

    impl Component for Sold {
        fn name(&self) -> &'static str {
            "sold"
        }

        fn gauges(&self) -> Vec<Gauge> {
            vec![Gauge { name: self.0, help: "H", labels: vec![("engine", "a".to_owned())], value: 0.25 }]
        }
    }

    #[test]
    fn what_is_named_as_a_total_is_a_counter_and_all_else_a_gauge() {
        let metrics = Metrics::new();
        let components: Vec<Arc<dyn Component>> =
            vec![Arc::new(Sold("antiphon_cost_total")), Arc::new(Sold("antiphon_price"))];
        metrics.watch(&Arc::new(Watcher::new(Monitor::new(components), None)));
        let text = metrics.encode().expect("text");
        for line in [
            "# TYPE antiphon_cost counter",
            "antiphon_cost_total{engine=\"a\"} 0.25",
            "# TYPE antiphon_price gauge",
            "antiphon_price{engine=\"a\"} 0.25",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
    }
}
