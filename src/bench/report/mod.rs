//! The document of a run: tables, plots, and what was wanted of each figure. All of it is drawn from the results, and from nothing else.
mod figures;
mod markdown;
mod plot;

use super::Error;
use super::results::Results;
use std::collections::BTreeMap;

/// Where the results lie, beside the document.
const RESULTS: &str = "benchmarks/results.json";

/// Every file of the document, with its text, by its path.
pub(crate) fn files(results: &Results) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::from([
        ("BENCHMARKS.md".to_owned(), markdown::document(results)),
        (RESULTS.to_owned(), format!("{}\n", serde_json::to_string_pretty(results)?)),
    ]);
    for plot in results.sections.iter().flat_map(|section| &section.plots) {
        files.insert(format!("benchmarks/{}.svg", plot.name), plot::draw(plot));
    }
    Ok(files)
}

/// What was wanted, what was measured, and whether it was held, a line each.
pub(crate) fn verdicts(results: &Results) -> Vec<[String; 4]> {
    markdown::verdicts(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_document_is_what_the_results_come_to() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        let results: Results = serde_json::from_str(&std::fs::read_to_string(docs.join(RESULTS)).unwrap()).unwrap();
        assert!(results.faults().next().is_none(), "a document shows no run that went wrong");
        for (path, text) in files(&results).unwrap() {
            let file = docs.join(&path);
            if std::env::var_os("TALLYBOOK_UPDATE").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            let there = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(there == text, "docs/{path} is another one than the results come to: TALLYBOOK_UPDATE=1 writes it");
        }
    }
}
