//! Charts of lines as SVG.

use std::fmt;

/// A chart. Displayed, it is an SVG document.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) is_x_logarithmic: bool,
    /// Not empty, and none of them is.
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) name: String,
    /// Ascending in x.
    pub(super) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;

/// Told apart by people who confuse colours, too (Okabe and Ito 2008).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];

/// A scale from values to places.
struct Scale {
    ticks: Vec<f64>,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Scale {
    fn place(&self, value: f64) -> f64 {
        let of = |value: f64| match self.is_logarithmic {
            true => value.max(f64::MIN_POSITIVE).ln(),
            false => value,
        };
        let width = of(self.high) - of(self.low);
        let share = if width > 0.0 {
            (of(value) - of(self.low)) / width
        } else {
            0.5
        };
        self.from + share * (self.to - self.from)
    }

    /// Ticks at each of the values.
    fn at(mut values: Vec<f64>, from: f64, to: f64, is_logarithmic: bool) -> Self {
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (low, high) = (values[0], values[values.len() - 1]);
        Self {
            ticks: values,
            low,
            high,
            from,
            to,
            is_logarithmic,
        }
    }

    /// Round ticks from zero to beyond the greatest value.
    fn from_zero(greatest: f64, from: f64, to: f64) -> Self {
        let step = round_step(greatest / 5.0);
        let steps = (greatest / step).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|it| f64::from(it) * step);
        Self {
            ticks: ticks.collect(),
            low: 0.0,
            high: steps * step,
            from,
            to,
            is_logarithmic: false,
        }
    }
}

/// 1, 2 or 5 times a power of ten, and no less than asked for.
fn round_step(least: f64) -> f64 {
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter();
    let mut factors = factor.filter(|factor| factor * power >= least * 0.999_999);
    factors.next().unwrap_or(10.0) * power
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// At most four digits behind the point, and none that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let right = WIDTH - RIGHT;
        let bottom = HEIGHT - BOTTOM;
        let places = points().map(|(x, _)| *x).collect();
        let x = Scale::at(places, LEFT + 12.0, right - 12.0, self.is_x_logarithmic);
        let greatest = points().map(|(_, y)| *y).fold(0.0, f64::max);
        let y = Scale::from_zero(greatest, bottom, TOP);
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">"#
        )?;
        writeln!(
            f,
            r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#
        )?;
        let title = escape(&self.title);
        writeln!(
            f,
            r#"<text x="{LEFT}" y="24" font-size="16">{title}</text>"#
        )?;
        for tick in &y.ticks {
            let at = y.place(*tick);
            writeln!(
                f,
                r##"<line x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}" stroke="#ddd"/>"##
            )?;
            let (left, text) = (LEFT - 8.0, number(*tick));
            writeln!(
                f,
                r#"<text x="{left}" y="{:.1}" text-anchor="end">{text}</text>"#,
                at + 4.0
            )?;
        }
        for tick in &x.ticks {
            let (at, text) = (x.place(*tick), number(*tick));
            let (from, to) = (bottom, bottom + 5.0);
            writeln!(
                f,
                r##"<line x1="{at:.1}" y1="{from}" x2="{at:.1}" y2="{to}" stroke="#888"/>"##
            )?;
            writeln!(
                f,
                r#"<text x="{at:.1}" y="{}" text-anchor="middle">{text}</text>"#,
                bottom + 20.0
            )?;
        }
        let middle = (LEFT + right) / 2.0;
        let label = escape(&self.x);
        writeln!(
            f,
            r#"<text x="{middle}" y="{}" text-anchor="middle">{label}</text>"#,
            HEIGHT - 14.0
        )?;
        let label = escape(&self.y);
        let middle = (TOP + bottom) / 2.0;
        writeln!(
            f,
            r#"<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">{label}</text>"#
        )?;
        for (index, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let places = line
                .points
                .iter()
                .map(|(at, value)| (x.place(*at), y.place(*value)));
            let places: Vec<(f64, f64)> = places.collect();
            let path: Vec<String> = places
                .iter()
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let path = path.join(" ");
            writeln!(
                f,
                r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#
            )?;
            for (x, y) in places {
                writeln!(
                    f,
                    r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#
                )?;
            }
            if !line.name.is_empty() {
                // Over the plot, from the right, a row each.
                let at = TOP + 16.0 * index as f64 + 8.0;
                let (name, end) = (escape(&line.name), right - 8.0);
                writeln!(
                    f,
                    r#"<text x="{end}" y="{at}" text-anchor="end" fill="{colour}">{name}</text>"#
                )?;
            }
        }
        writeln!(f, "</svg>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let name = "a < b".to_owned();
        Chart {
            title: "this & that".to_owned(),
            x: "nodes".to_owned(),
            y: "bytes".to_owned(),
            is_x_logarithmic: true,
            lines: vec![Line { name, points }],
        }
        .to_string()
    }

    #[test]
    fn greater_values_lie_higher_and_powers_at_equal_distances() {
        let text = chart(vec![(10.0, 0.0), (100.0, 5.0), (1_000.0, 10.0)]);
        // From 90 to 684 across, from 364 up to 48.
        assert!(
            text.contains(r#"points="90.0,364.0 387.0,206.0 684.0,48.0""#),
            "{text}"
        );
        assert!(
            text.contains("this &amp; that") && text.contains("a &lt; b"),
            "{text}"
        );
        assert!(
            text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"),
            "{text}"
        );
    }

    #[test]
    fn a_single_point_and_zeros_are_drawn() {
        for points in [vec![(1.0, 0.0)], vec![(0.0, 0.0), (0.3, 0.0)]] {
            let text = chart(points);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }

    #[test]
    fn ticks_are_round() {
        let ticks = |greatest| Scale::from_zero(greatest, 0.0, 1.0).ticks;
        assert_eq!(ticks(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(437.0), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        assert_eq!(number(0.05), "0.05");
        assert_eq!(number(1_000.0), "1000");
    }
}
