//! Line charts over time, as SVG.

use std::fmt::Write;

/// Width and height of a chart, in SVG units.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 240.0;
/// Margins around the lines: room for the labels of the vertical axis on the left and of the time axis at the bottom.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
/// Most intervals between grid lines.
const STEPS: f64 = 5.0;

/// A line of a chart. It has a gap where a value is missing.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// Time in seconds and value of each point.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// A figure with these lines, in the colours `--s0`, `--s1` and so on of the page's style. It is empty when no line has a value.
/// `title` and the names must not need escaping.
pub(super) fn plot(title: &str, unit: &str, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|line| &line.points);
    let values = || points().filter_map(|(_, value)| *value);
    if values().next().is_none() {
        return String::new();
    }
    let y_step = step(values().fold(0.0, f64::max));
    let y_max = (values().fold(y_step, f64::max) / y_step).ceil() * y_step;
    let x_max = points().map(|(time, _)| *time).fold(1.0, f64::max);
    let x = |time: f64| LEFT + time / x_max * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / y_max * (HEIGHT - TOP - BOTTOM);
    let mut svg = Svg(String::new());
    for n in 0..=(y_max / y_step).round() as u32 {
        let value = f64::from(n) * y_step;
        svg.line("grid", (LEFT, y(value)), (WIDTH - RIGHT, y(value)));
        svg.text("end", (LEFT - 6.0, y(value) + 4.0), &label(value));
    }
    let x_step = step(x_max);
    for n in 0..=(x_max / x_step).floor() as u32 {
        let time = f64::from(n) * x_step;
        svg.text("middle", (x(time), HEIGHT - 8.0), &format!("{} s", label(time)));
    }
    let mut legend = String::new();
    for (n, line) in series.iter().enumerate() {
        svg.path(n, line.points.iter().map(|(time, value)| value.map(|value| (x(*time), y(value)))));
        // Writing to a string cannot fail.
        let _ = write!(legend, "<span class=\"key\" style=\"--c:var(--s{n})\">{}</span> ", line.name);
    }
    let names: Vec<&str> = series.iter().map(|line| line.name).collect();
    let highest = label(values().fold(0.0, f64::max));
    format!(
        "<figure><figcaption><b>{title}</b>, {unit} {legend}</figcaption>\
         <svg role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-label=\"{title} in {unit} over {} s: {}; highest \
         {highest}\">{}</svg></figure>\n",
        label(x_max),
        names.join(", "),
        svg.0
    )
}

struct Svg(String);

/// The errors of `write!` are ignored here, because writing to a string cannot fail.
impl Svg {
    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ =
            write!(self.0, r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#);
    }

    fn text(&mut self, anchor: &str, (x, y): (f64, f64), text: &str) {
        let _ = write!(self.0, r#"<text text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#);
    }

    fn path(&mut self, colour: usize, points: impl Iterator<Item = Option<(f64, f64)>>) {
        let _ = write!(self.0, r#"<path style="stroke:var(--s{colour})" d=""#);
        let mut pen_up = true;
        for point in points {
            if let Some((x, y)) = point {
                let command = if pen_up { 'M' } else { 'L' };
                let _ = write!(self.0, "{command}{x:.1} {y:.1}");
                if pen_up {
                    // A line of no length with round caps shows a value between two missing ones as a dot.
                    let _ = write!(self.0, "h0");
                }
            }
            pen_up = point.is_none();
        }
        self.0.push_str("\"/>");
    }
}

/// A step of 1, 2 or 5 times a power of ten that fits at most [`STEPS`] times.
fn step(max: f64) -> f64 {
    let rough = max.max(1e-6) / STEPS;
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0].map(|n| n * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(power * 10.0)
}

/// A number with as many digits as it needs.
pub(super) fn label(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (max, expected) in [(1.0, 0.2), (4.9, 1.0), (5.1, 2.0), (880.0, 200.0), (60.0, 20.0)] {
            assert!((step(max) / expected - 1.0).abs() < 1e-9, "{max}: {}", step(max));
        }
        assert_eq!([0.0, 0.25, 12.5, 40.0, 1_200.0].map(label), ["0", "0.25", "12.5", "40", "1200"]);
    }

    #[test]
    fn missing_values_break_the_line() {
        let points = vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(2.0)), (3.0, Some(3.0))];
        let figure = plot("Latency", "ms", &[Series { name: "p50", points }]);
        let path = figure.split("d=\"").nth(1).and_then(|d| d.split('"').next()).expect("path");
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
        assert!(
            figure.contains("role=\"img\"") && figure.contains("aria-label=\"Latency in ms over 3 s: p50")
        );
    }

    #[test]
    fn without_values_there_is_no_plot() {
        let empty = Series { name: "CPU", points: vec![(0.0, None)] };
        assert_eq!(plot("CPU", "ms", &[empty]), "");
        assert_eq!(plot("CPU", "ms", &[]), "");
    }
}
