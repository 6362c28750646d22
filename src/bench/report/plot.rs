//! Plots as SVG: a line for each contender, over a logarithmic axis where figures lie far apart.
use super::figures;
use crate::bench::results::{Plot, Unit};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 380.0;
/// The area of the lines: left, right, top, bottom.
const AREA: (f64, f64, f64, f64) = (84.0, 540.0, 44.0, 320.0);
/// Colours that can be told apart by most.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f"];
/// From which factor between the ends of an axis on it is logarithmic.
const FAR_APART: f64 = 8.0;

/// An axis: from where to where, and how.
struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    unit: Unit,
}

impl Axis {
    /// One that has room for all of `values`.
    fn of(values: impl Iterator<Item = f64> + Clone, unit: Unit) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
        if low > 0.0 && high / low >= FAR_APART {
            return Self { low: low / 1.2, high: high * 1.2, is_logarithmic: true, unit };
        }
        Self { low: 0.0, high: if high > 0.0 { high * 1.1 } else { 1.0 }, is_logarithmic: false, unit }
    }

    /// Where a value lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        if self.is_logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Values to be marked.
    fn ticks(&self) -> Vec<f64> {
        let decade = |exponent: i32| 10_f64.powi(exponent);
        let all: Vec<f64> = if self.is_logarithmic {
            let steps: &[f64] = if self.high / self.low > 2_000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            (-9..12).flat_map(|exponent| steps.iter().map(move |step| step * decade(exponent))).collect()
        } else {
            // The finest of round steps that marks no more than six values.
            let mut steps = (-9..12).flat_map(|exponent| [1.0, 2.0, 5.0].map(|step| step * decade(exponent)));
            let step = steps.find(|step| self.high / step <= 6.0).unwrap_or(self.high);
            (0..=6).map(|number| f64::from(number) * step).collect()
        };
        all.into_iter().filter(|value| *value >= self.low && *value <= self.high).collect()
    }
}

/// The document.
pub(super) fn draw(plot: &Plot) -> String {
    let points = plot.lines.iter().flat_map(|line| line.points.iter());
    let (x, y) = (Axis::of(points.clone().map(|point| point.0), plot.x.1), Axis::of(points.map(|point| point.1), plot.y.1));
    let mut svg = Svg(String::new());
    svg.add(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    svg.add(r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
    svg.text((AREA.0, 24.0), "start", &format!("{}, {}", plot.caption, plot.y.0), r#" font-size="14""#);
    svg.axes(&x, &y);
    svg.text((f64::midpoint(AREA.0, AREA.1), HEIGHT - 16.0), "middle", &plot.x.0, "");
    for (number, line) in plot.lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let at: Vec<(f64, f64)> = line.points.iter().map(|point| (across(&x, point.0), up(&y, point.1))).collect();
        let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        svg.add(&format!(r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, path.join(" ")));
        for (x, y) in at {
            svg.add(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#));
        }
        let place = AREA.2 + 10.0 + 20.0 * f64::from(u32::try_from(number).unwrap_or_default());
        svg.add(&format!(r#"<rect x="{:.1}" y="{:.1}" width="14" height="4" fill="{colour}"/>"#, AREA.1 + 16.0, place - 6.0));
        svg.text((AREA.1 + 36.0, place), "start", &line.name, "");
    }
    svg.add("</svg>");
    svg.0
}

fn across(x: &Axis, value: f64) -> f64 {
    AREA.0 + x.place(value) * (AREA.1 - AREA.0)
}

fn up(y: &Axis, value: f64) -> f64 {
    AREA.3 - y.place(value) * (AREA.3 - AREA.2)
}

struct Svg(String);

impl Svg {
    fn add(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, text: &str, more: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(&format!(r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#222222"{more}>{text}</text>"##));
    }

    fn axes(&mut self, x: &Axis, y: &Axis) {
        let grid = |x1: f64, y1: f64, x2: f64, y2: f64| {
            format!(r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#dddddd"/>"##)
        };
        for tick in x.ticks() {
            let at = across(x, tick);
            self.add(&grid(at, AREA.2, at, AREA.3));
            self.text((at, AREA.3 + 18.0), "middle", &figures::text(x.unit, tick), "");
        }
        for tick in y.ticks() {
            let at = up(y, tick);
            self.add(&grid(AREA.0, at, AREA.1, at));
            self.text((AREA.0 - 8.0, at + 4.0), "end", &figures::text(y.unit, tick), "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::Line;

    #[test]
    fn a_plot_shows_every_point_with_its_line_s_name() {
        let line = |name: &str, points: &[(f64, f64)]| Line { name: name.to_owned(), points: points.to_vec() };
        let plot = Plot {
            name: "ticks".to_owned(),
            caption: "A tick".to_owned(),
            x: ("rows".to_owned(), Unit::Count),
            y: ("a tick".to_owned(), Unit::Seconds),
            lines: vec![line("ours", &[(1e5, 0.008), (1e7, 0.009)]), line("the <usual> one", &[(1e5, 0.2), (1e7, 20.0)])],
        };
        let svg = draw(&plot);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(
            svg.contains(">ours<")
                && svg.contains(">the &lt;usual> one<")
                && svg.contains(">1,000,000<")
                && svg.contains(">10 ms<"),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn figures_that_lie_close_are_shown_from_zero() {
        let axis = Axis::of([4.0, 5.0].into_iter(), Unit::Count);
        assert_eq!((axis.low, axis.ticks()), (0.0, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(Axis::of([].into_iter(), Unit::Count).ticks().len(), 6);
    }
}
