//! What an examination comes to.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Severity {
    /// It endangers exactness, or has cost it.
    Danger,
    /// It will make reads or folds slow, or fail, and is no danger to exactness.
    Warning,
    /// It is good to know.
    Note,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of this kind of finding.
    pub code: String,
    /// Where it is.
    pub place: String,
    /// What it is, and what follows from it.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// The SQL that mends it, where some does.
    pub sql: Option<String>,
}

/// A check that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unchecked {
    /// Which one.
    pub check: String,
    /// Why not.
    pub reason: String,
}

/// What was found, worst first, and what could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Everything that was found.
    pub findings: Vec<Finding>,
    /// Everything that could not be looked at.
    pub unchecked: Vec<Unchecked>,
}

impl Report {
    /// Whether nothing was found that endangers exactness.
    pub fn healthy(&self) -> bool {
        self.dangers().next().is_none()
    }

    /// What endangers exactness.
    pub fn dangers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Danger)
    }

    /// Puts the worst first, and tells of each thing once: with the SQL that mends it, where any check knows it.
    pub(super) fn sort(&mut self) {
        let rank = |f: &Finding| (f.severity, f.code.clone(), f.place.clone(), f.sql.is_none());
        self.findings.sort_by_cached_key(rank);
        self.findings.dedup_by(|later, earlier| (&later.code, &later.place) == (&earlier.code, &earlier.place));
    }
}
