//! The document in Markdown.
use super::figures::{bound, cell, text};
use crate::bench::plan::{FLOOR_ROWS, Subject};
use crate::bench::results::{About, Results, Section, Table, Unit};
use crate::bench::stats::float;

const INTRODUCTION: &str = "\
What exactness costs and saves, beside what one would have instead. Every contender stands on the same source tables with the same rows, and they take turns within one run,
so that the ratios say more than the times, which are this machine's. Spreads are the lowest and the highest of all turns. `make bench` makes this document; [results.json](benchmarks/results.json) is all that it is
drawn from.

- **raw sums**: no rollup; the source tables' own indexes.
- **usual design**: a daily rollup with a watermark on `updated_at`, a lag of five minutes, a shared queue of dirty buckets and their recompute, every five minutes.
- **materialized view**: the daily sums, refreshed concurrently.
- **synchronous counters**: a row-level trigger that adds to the daily rollup's row in the writer's transaction.
- **Tallybook**: the daily and the quarter-hour rollup, all measures. On its own tables it captures usage by statement; beside a host's (**adopted**) by row.
";

/// All of it.
pub(super) fn document(results: &Results) -> String {
    let mut parts = vec!["# Benchmarks\n".to_owned(), INTRODUCTION.to_owned(), about(&results.about)];
    let stated = text(Unit::Count, float(FLOOR_ROWS));
    let scope = format!("What is wanted of speed is judged beside {stated} rows and more; that nothing differs, everywhere.\n");
    parts.push(format!(
        "## What it must show\n\n{scope}\n{}",
        markdown_table(&["what", "wanted", "measured", "held"], verdicts(results))
    ));
    let missing = Subject::ALL.into_iter().filter(|subject| results.sections.iter().all(|section| section.subject != *subject));
    let missing: Vec<&str> = missing.map(Subject::name).collect();
    if !missing.is_empty() {
        parts.push(format!("Not measured in this run: {}.\n", missing.join(", ")));
    }
    parts.extend(results.sections.iter().map(section));
    parts.join("\n")
}

/// What was wanted, what was measured, and whether it was held.
pub(super) fn verdicts(results: &Results) -> Vec<[String; 4]> {
    let floors = results.sections.iter().flat_map(|section| &section.floors);
    floors
        .map(|floor| {
            let wanted = bound(floor.unit, floor.wanted);
            let held = match (wanted.as_str(), floor.is_held()) {
                ("is reported", _) => "",
                (_, true) => "yes",
                (_, false) => "**no**",
            };
            [floor.what.clone(), wanted, text(floor.unit, floor.measured), held.to_owned()]
        })
        .collect()
}

fn about(about: &About) -> String {
    let sizes: Vec<String> = about.sizes.iter().map(|rows| text(Unit::Count, float(*rows))).collect();
    let mut warnings = Vec::new();
    if about.is_quick {
        warnings.push("A quick run, which shows that the suite works: its figures mean nothing.");
    }
    if !about.is_optimized {
        warnings.push("An unoptimized build: what the service does is slower than users see it.");
    }
    let warnings = warnings.into_iter().map(|warning| format!("> {warning}\n")).collect::<Vec<_>>().concat();
    let rows = [
        ("date", about.date.to_string()),
        ("Tallybook", format!("{}, commit {}", about.version, about.commit)),
        (
            "machine",
            format!(
                "{}, {} cores, {} of memory, {}",
                about.processor,
                about.cores,
                text(Unit::Bytes, float(about.memory_bytes)),
                about.system
            ),
        ),
        ("PostgreSQL", about.postgresql.clone()),
        ("settings", about.settings.iter().map(|(name, value)| format!("`{name} = {value}`")).collect::<Vec<_>>().join(", ")),
        ("rows of history", sizes.join("; ")),
        ("took", text(Unit::Seconds, float(about.seconds))),
    ];
    format!("{warnings}\n{}", markdown_table(&["this run", ""], rows.map(|(name, value)| [name.to_owned(), value])))
}

fn section(section: &Section) -> String {
    let name = section.subject.name();
    let title: String = name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect();
    let mut parts = vec![format!("## {title}\n\n{}\n", section.method)];
    parts.extend(section.tables.iter().map(table));
    parts.extend(section.plots.iter().map(|plot| format!("![{}](benchmarks/{}.svg)\n", plot.caption, plot.name)));
    if !section.left_out.is_empty() {
        parts.push(format!("Left out: {}.\n", section.left_out.join("; ")));
    }
    parts.join("\n")
}

fn table(table: &Table) -> String {
    let columns: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    let rows = table.rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>());
    format!("**{}**\n\n{}", table.caption, markdown_table(&columns, rows))
}

fn markdown_table<R: IntoIterator<Item = String>>(columns: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns.iter().map(|column| (*column).to_owned()).collect());
    text += &["|", &"---|".repeat(columns.len()), "\n"].concat();
    for row in rows {
        let mut cells: Vec<String> = row.into_iter().map(|cell| cell.replace('|', "\\|")).collect();
        cells.resize(columns.len(), String::new());
        text.push_str(&line(cells));
    }
    text
}
