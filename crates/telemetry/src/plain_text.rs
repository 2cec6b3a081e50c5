//! Metrics in the older text format of Prometheus, for whoever does not ask for OpenMetrics.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::HashSet;

/// The same metrics as this OpenMetrics text has. Families of counters get the name of their samples, which ends with `_total`, and
/// quantiles become one summary with their count and sum.
pub(crate) fn from_openmetrics(text: &str) -> String {
    let families: HashSet<&str> =
        text.lines().filter_map(|line| described(line, "TYPE")).map(|(name, _)| name).collect();
    let has_parts = |name: &str| {
        ["_sum", "_count"].iter().all(|part| families.contains(format!("{name}{part}").as_str()))
    };
    let is_part = |name: &str| {
        ["_sum", "_count"].iter().any(|part| {
            name.strip_suffix(part).is_some_and(|whole| families.contains(whole) && has_parts(whole))
        })
    };
    let mut plain = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some((name, said)) = described(line, "HELP") {
            // Its place is after the type is known, which may lengthen the name.
            help = Some((name, said));
        } else if let Some((name, kind)) = described(line, "TYPE") {
            let help = help.take().filter(|(of, _)| *of == name);
            if is_part(name) {
                continue;
            }
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ if has_parts(name) => ("", "summary"),
                other => ("", other),
            };
            if let Some((_, said)) = help {
                plain.extend(["# HELP ", name, ending, " ", said, "\n"]);
            }
            plain.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            plain.extend([line, "\n"]);
        }
    }
    plain
}

/// The family and what a line of this kind says of it.
fn described<'a>(line: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix("# ")?.strip_prefix(kind)?.strip_prefix(' ')?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_keep_their_samples_and_counters_are_named_after_them() {
        let text = "# HELP a_turns Turns so far.\n# TYPE a_turns counter\na_turns_total{door=\"talk\"} 3\n\
            # HELP a_calls Calls now.\n# TYPE a_calls gauge\n# UNIT a_calls calls\na_calls 2\n\
            # TYPE a_build info\na_build_info{version=\"1\"} 1\n# EOF\n";
        assert_eq!(
            from_openmetrics(text),
            "# HELP a_turns_total Turns so far.\n# TYPE a_turns_total counter\na_turns_total{door=\"talk\"} 3\n\
            # HELP a_calls Calls now.\n# TYPE a_calls gauge\na_calls 2\n\
            # TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n"
        );
    }

    #[test]
    fn quantiles_with_their_count_and_sum_are_a_summary() {
        let text = "# HELP a_s How long.\n# TYPE a_s gauge\na_s{quantile=\"0.5\"} 1\n# HELP a_s_count How often.\n\
            # TYPE a_s_count gauge\na_s_count 3\n# HELP a_s_sum All in all.\n# TYPE a_s_sum gauge\na_s_sum 4\n# EOF\n";
        let expected =
            "# HELP a_s How long.\n# TYPE a_s summary\na_s{quantile=\"0.5\"} 1\na_s_count 3\na_s_sum 4\n";
        assert_eq!(from_openmetrics(text), expected);
    }
}
