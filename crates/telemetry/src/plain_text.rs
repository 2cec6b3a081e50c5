//! Metrics in the older text format of Prometheus, for whoever does not ask for OpenMetrics.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

/// The same metrics as this OpenMetrics text has. Families of counters get the name of their samples, which ends with `_total`.
pub(crate) fn from_openmetrics(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            // Its place is after the type is known, which may lengthen the name.
            (Some("#"), Some("HELP"), Some(name), said) => help = Some((name, said.unwrap_or_default())),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some((_, said)) = help.take().filter(|(of, _)| *of == name) {
                    plain.extend(["# HELP ", name, ending, " ", said, "\n"]);
                }
                plain.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => plain.extend([line, "\n"]),
        }
    }
    plain
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
}
