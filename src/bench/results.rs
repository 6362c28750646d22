//! What a run has found: figures with their units, so that the document is drawn from the results alone.
use super::plan::Subject;
use super::stats::Summary;
use serde::{Deserialize, Serialize};

/// All of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(super) about: About,
    pub(super) sections: Vec<Section>,
}

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) date: jiff::civil::Date,
    pub(super) commit: String,
    pub(super) version: String,
    pub(super) is_optimized: bool,
    pub(super) is_quick: bool,
    pub(super) sizes: Vec<u64>,
    pub(super) seconds: u64,
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) memory_bytes: u64,
    pub(super) system: String,
    pub(super) postgresql: String,
    pub(super) settings: Vec<(String, String)>,
}

/// What was found on one subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) subject: Subject,
    /// How it was measured, for readers of the tables.
    pub(super) method: String,
    pub(super) tables: Vec<Table>,
    pub(super) plots: Vec<Plot>,
    pub(super) floors: Vec<Floor>,
    /// What was not measured, and why.
    pub(super) left_out: Vec<String>,
    /// What must never be: a row that differs, a report that is lost.
    pub(super) faults: Vec<String>,
    pub(super) seconds: u64,
}

/// Figures side by side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Figure>>,
}

/// One cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Figure {
    Text(String),
    Count(u64),
    /// One figure.
    Value {
        unit: Unit,
        value: f64,
    },
    /// A figure of several turns: its median, and how many times that of what it is compared with.
    Measured {
        unit: Unit,
        value: Summary,
        ratio: Option<Summary>,
    },
    /// How long many of the same took: median, 95th and 99th percentile, in seconds.
    Latency(Summary),
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    PerSecond,
    Seconds,
    Bytes,
    Times,
    Count,
}

/// Lines over one axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plot {
    /// The file's name, without its end.
    pub(super) name: String,
    pub(super) caption: String,
    pub(super) x: (String, Unit),
    pub(super) y: (String, Unit),
    /// In the order in which they are drawn and coloured.
    pub(super) lines: Vec<Line>,
}

/// One contender's points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What must be shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Floor {
    pub(super) what: String,
    pub(super) wanted: Bound,
    pub(super) unit: Unit,
    pub(super) measured: f64,
}

/// On which side of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Results {
    /// What was found that must never be.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().flat_map(|section| section.faults.iter().map(String::as_str))
    }
}

impl Section {
    pub(super) fn new(subject: Subject, method: &str) -> Self {
        Self {
            subject,
            method: method.to_owned(),
            tables: Vec::new(),
            plots: Vec::new(),
            floors: Vec::new(),
            left_out: Vec::new(),
            faults: Vec::new(),
            seconds: 0,
        }
    }

    /// States a floor of something that is told in times.
    pub(super) fn floor(&mut self, what: impl Into<String>, wanted: Bound, measured: f64) {
        let what = what.into();
        if measured.is_finite() {
            self.floors.push(Floor { what, wanted, unit: Unit::Times, measured });
        } else {
            self.left_out.push(format!("{what}: too little was measured to tell"));
        }
    }

    /// Says what must never be, where it is.
    pub(super) fn fault_unless(&mut self, is_well: bool, what: impl Into<String>) {
        if !is_well {
            self.faults.push(format!("{}: {}", self.subject.name(), what.into()));
        }
    }
}

impl Table {
    pub(super) fn new<'a>(caption: impl Into<String>, columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { caption: caption.into(), columns: columns.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, name: impl Into<String>, figures: impl IntoIterator<Item = Figure>) {
        self.rows.push([Figure::Text(name.into())].into_iter().chain(figures).collect());
    }
}

impl Floor {
    /// Whether what was measured is on the right side.
    pub(super) fn is_held(&self) -> bool {
        match self.wanted {
            Bound::AtLeast(least) => self.measured >= least,
            Bound::AtMost(most) => self.measured <= most,
        }
    }
}
