//! What the documents say of names is true: columns, functions, endpoints, error codes and options, and where links lead.
use sqlx::Executor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tallybook::db::migrate;
use tallybook::rollup::verify;
use tallybook::testing;

const DATA_MODEL: &str = include_str!("../../docs/DATA-MODEL.md");
const ADOPTION: &str = include_str!("../../docs/ADOPTION.md");
const API: &str = include_str!("../../docs/API.md");
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
const SECURITY: &str = include_str!("../../docs/SECURITY.md");
const TESTING: &str = include_str!("../../docs/TESTING.md");

/// The cells of every table row in `text`, without the header's line of dashes.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| ") || line.starts_with("|-"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// Whatever stands between backticks in `cell`.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn every_relation_has_the_columns_that_are_documented() {
    let database = testing::database().await;
    let mut relations = 0;
    for section in DATA_MODEL.split("\n### `").skip(1) {
        let (name, text) = section.split_once('`').unwrap();
        let text = text.split("\n#").next().unwrap();
        let documented: Vec<(String, String)> =
            rows(text).skip(2).map(|cells| (quoted(cells[0])[0].to_owned(), cells[1].to_owned())).collect();
        let columns: Vec<(String, String)> = sqlx::query_as(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute
             where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum",
        )
        .bind(name)
        .fetch_all(&database.pool)
        .await
        .unwrap();
        assert_eq!(documented, columns, "{name}");
        relations += 1;
    }
    assert_eq!(relations, 9);
}

#[tokio::test]
async fn every_function_and_table_that_is_documented_exists() {
    let database = testing::database().await;
    let named: BTreeSet<&str> = quoted(DATA_MODEL).into_iter().filter(|word| word.starts_with("tallybook.")).collect();
    assert!(named.len() > 10);
    for name in named {
        let (name, arguments) =
            name.split_once('(').map_or((name, None), |(name, rest)| (name, Some(rest.trim_end_matches(')'))));
        let Some(arguments) = arguments else {
            let exists: bool =
                sqlx::query_scalar("select to_regclass($1) is not null").bind(name).fetch_one(&database.pool).await.unwrap();
            assert!(exists, "there is no relation {name}");
            continue;
        };
        let found: Vec<String> = sqlx::query_scalar(
            "select coalesce((select string_agg(word, ', ' order by n) from unnest(proargnames[1:pronargs]) with ordinality as a (word, n)), '')
             from pg_proc where oid = $1::text::regproc",
        )
        .bind(name)
        .fetch_all(&database.pool)
        .await
        .unwrap();
        assert_eq!(found, [arguments], "{name}");
    }
}

#[test]
fn the_endpoints_are_those_of_the_openapi_document() {
    let document: serde_json::Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let served: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let section = API.split("\n## Endpoints").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut documented = BTreeSet::new();
    for cells in rows(section).skip(2) {
        let mut method = "";
        for word in quoted(cells[0]) {
            let path = word.split_once(' ').map_or(word, |(verb, path)| {
                method = verb;
                path
            });
            documented.insert(format!("{method} {}", path.split('?').next().unwrap()));
        }
    }
    assert_eq!(documented, served);
}

#[test]
fn every_error_code_that_is_documented_is_one() {
    fn read(directory: &Path, sources: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut sources = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&root.join("http"), &mut sources);
    read(&root.join("ingest"), &mut sources);
    let section = API.split("\n## Errors").nth(1).unwrap();
    let codes: Vec<&str> = rows(section).skip(2).flat_map(|cells| quoted(cells[1])).collect();
    assert!(codes.len() > 30);
    for code in codes {
        assert!(sources.contains(&format!("\"{code}\"")), "no problem has the code {code}");
    }
}

#[test]
fn every_alert_is_documented_with_its_query_and_tested() {
    let rules = include_str!("../../deploy/prometheus/alerts.yml");
    let tests = include_str!("../../deploy/prometheus/alerts.test.yml");
    let section = OPERATIONS.split("\n## Alerts\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<&str> = section.split("\n### ").skip(1).map(|alert| alert.lines().next().unwrap()).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let query = rule.split("expr: ").nth(1).unwrap().lines().next().unwrap();
        let text = section.split(&format!("\n### {name}\n")).nth(1).unwrap_or_else(|| panic!("{name} is not documented"));
        let text = text.split("\n### ").next().unwrap();
        assert!(text.contains(&format!("```promql\n{query}\n```")), "the query of {name} is another one than documented");
        let severity = if rule.contains("severity: critical") { "Critical" } else { "Warning" };
        let wait = rule
            .split("\n        for: ")
            .nth(1)
            .map_or(String::new(), |wait| format!(", after {}", wait.lines().next().unwrap()));
        assert!(text.trim_start().starts_with(&format!("{severity}{wait}. ")), "{name}: {text}");
        assert!(text.contains("**Do:** "), "{name} does not say what to do");
        assert!(rule.contains(&format!("runbook: docs/OPERATIONS.md#{}\n", name.to_lowercase())), "{name}");
        assert!(tests.contains(&format!("- alertname: {name}\n")), "no test lets {name} fire");
        alerts.insert(name);
    }
    assert!(alerts.len() > 15);
    assert_eq!(documented, alerts);
}

#[tokio::test]
async fn every_migration_is_documented() {
    let database = testing::empty_database().await;
    let migrations = migrate::status(&database.pool).await.unwrap();
    let names: BTreeSet<String> = migrations.iter().map(|m| format!("{:04} {}", m.version, m.description)).collect();
    let section = OPERATIONS.split("\n## Upgrading and going back\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let of_migrations = rows(section).filter(|cells| cells[0].starts_with('0'));
    let documented: BTreeSet<String> = of_migrations.flat_map(|cells| cells[0].split(", ").map(str::to_owned)).collect();
    assert_eq!(documented, names);
    let shown = |word| ADOPTION.lines().filter_map(|line| line.strip_prefix(word)).collect::<Vec<_>>();
    assert_eq!(shown("applied "), names.iter().collect::<Vec<_>>());
    assert_eq!(shown("reverted "), names.iter().rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_rows_that_rollups_will_have_are_counted_as_documented() {
    let database = testing::database().await;
    database.pool.execute(include_str!("cli/usage.sql")).await.unwrap();
    database.pool.execute("update public.task_usage set created_at = now() - interval '1 day'").await.unwrap();
    database.pool.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
    let section = OPERATIONS.split("\n## Capacity\n").nth(1).unwrap();
    let query = section.split("```sql\n").nth(1).unwrap().split(";\n```").next().unwrap();
    let estimated: (i64, i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_one(&database.pool).await.unwrap();
    let rows: (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from public.task_usage), (select count(*) from tallybook.task_usage_quarter_hour),
           (select count(*) from tallybook.task_usage_daily)",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(estimated, rows);
}

#[tokio::test]
async fn sealing_is_undone_as_documented() {
    let database = testing::database().await;
    for sql in [include_str!("../../src/testing/one_task.sql"), include_str!("../../src/testing/five_days.sql")] {
        database.pool.execute(sql).await.unwrap();
    }
    let sums = "select string_agg(d::text, ' ' order by d::text) from tallybook.task_usage_daily_now d";
    let before: String = sqlx::query_scalar(sums).fetch_one(&database.pool).await.unwrap();
    database
        .pool
        .execute(
            "create table public.saved as select * from public.task_usage where created_at < '2026-02-03';
             select tallybook.seal('-infinity', '2026-02-03', null, 1000)",
        )
        .await
        .unwrap();
    let section = include_str!("../../docs/RETENTION.md").split("\n## Undoing it\n").nth(1).unwrap();
    let sql = section.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    let sealed = "select (select count(*) from tallybook.sealed_usage) + (select count(*) from tallybook.sealed_identity)";
    for is_sealed in [true, false] {
        let left: i64 = sqlx::query_scalar(sealed).fetch_one(&database.pool).await.unwrap();
        assert_eq!(left > 0, is_sealed);
        assert_eq!(sqlx::query_scalar::<_, String>(sums).fetch_one(&database.pool).await.unwrap(), before);
        assert!(verify::verify(&database.pool).await.unwrap().exact());
        if is_sealed {
            database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
        }
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&database.pool).await.unwrap();
    assert_eq!(rows, 16);
}

/// The documents that people read, by their paths.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.to_owned(), root.join("docs"), root.join("docs/decisions")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let documents = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The text outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The names by which the headings of a document are linked to, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let mut links = 0;
    for (path, text) in &documents {
        let targets = prose(text).flat_map(|line| line.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()));
        for target in targets.filter(|target| !target.starts_with("http")) {
            links += 1;
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let file = file.canonicalize().unwrap_or_else(|_| panic!("{}: there is no {target}", path.display()));
            let Some(anchor) = anchor else { continue };
            let linked = documents.get(&file).unwrap_or_else(|| panic!("{}: {target} is no document", path.display()));
            assert!(anchors(linked).contains(anchor), "{}: {target} has no such heading", path.display());
        }
    }
    assert!(links > 100, "{links}");
}

#[test]
fn what_is_said_to_send_traces_is_built_so() {
    assert!(OPERATIONS.contains("`make release`, the package and the image build (`cargo build --release --features otel`)"));
    let makefile = include_str!("../../Makefile");
    for line in ["FEATURES := otel", "\t$(CARGO) build --locked --release --features $(FEATURES)"] {
        assert!(makefile.lines().any(|of_makefile| of_makefile == line), "{line}");
    }
    assert!(include_str!("../../Dockerfile").contains(" --release --features otel --bin tallybook"));
}

#[test]
fn every_problem_of_a_status_is_documented() {
    let source = include_str!("../../src/rollup/problems.rs").split("#[cfg(test)]").next().unwrap();
    let judged: BTreeSet<(&str, &str)> = ["fault", "warning"]
        .into_iter()
        .flat_map(|severity| {
            let calls = source.split(if severity == "fault" { "Problem::fault(" } else { "Problem::warning(" }).skip(1);
            calls.filter_map(move |call| Some((call.trim_start().strip_prefix('"')?.split('"').next()?, severity)))
        })
        .collect();
    let section = OPERATIONS.split("\n## Reading `tallybook status`\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<(&str, &str)> = rows(section)
        .filter(|cells| cells.len() == 3 && ["fault", "warning"].contains(&cells[1]))
        .map(|cells| (quoted(cells[0])[0], cells[1]))
        .collect();
    assert!(judged.len() >= 10);
    assert_eq!(documented, judged);
}

/// The ids of tests such as `r01_...` in all sources: `R1`.
fn defects_tested(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            defects_tested(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for name in text.split("fn ").skip(1).filter_map(|rest| rest.split(['_', '(']).next()) {
                if name.len() == 3 && name.starts_with(['r', 'm', 'c', 'p', 'a']) && name[1..].bytes().all(|b| b.is_ascii_digit())
                {
                    found.insert(format!("{}{}", name[..1].to_uppercase(), name[1..].trim_start_matches('0')));
                }
            }
        }
    }
}

#[test]
fn every_defect_that_is_documented_has_a_test_and_every_such_test_is_documented() {
    let documented: BTreeSet<String> = rows(TESTING)
        .map(|cells| cells[0])
        .filter(|id| id.len() <= 3 && id.starts_with(['R', 'M', 'C', 'P', 'A']) && id[1..].parse::<u8>().is_ok())
        .map(str::to_owned)
        .collect();
    let mut tested = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests"] {
        defects_tested(&root.join(folder), &mut tested);
    }
    assert!(documented.len() > 60);
    assert_eq!(documented, tested);
}

#[test]
fn every_action_of_the_audit_log_is_documented() {
    let documented: BTreeSet<&str> =
        rows(SECURITY.split("\n## Audit log").nth(1).unwrap()).skip(2).flat_map(|cells| quoted(cells[0])).collect();
    let mut written = BTreeSet::new();
    for source in [
        include_str!("../../src/audit/mod.rs"),
        include_str!("../../migrations/0009_audit_log.up.sql"),
        include_str!("../../migrations/0010_sealed_usage.up.sql"),
    ] {
        let quote = if source.contains("pub enum") { '"' } else { '\'' };
        let is_action = |word: &&str| {
            word.split_once('.').is_some_and(|(one, other)| {
                [one, other].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()))
            })
        };
        written.extend(source.split(quote).filter(is_action).filter(|word| !word.starts_with("tallybook.")));
    }
    assert!(written.len() > 6);
    assert_eq!(documented, written);
}

/// The words that begin with two dashes.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2)
}

/// The options of each command, as its page of help lists them; those that all commands take are the ones of no command.
fn options() -> BTreeMap<String, BTreeSet<String>> {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/snapshots");
    let mut options = BTreeMap::new();
    for page in std::fs::read_dir(pages).unwrap().map(|entry| entry.unwrap().path()) {
        let name = page.file_name().unwrap().to_str().unwrap();
        let Some(command) = name.strip_prefix("help_").and_then(|name| name.strip_suffix(".snap")) else { continue };
        let text = std::fs::read_to_string(&page).unwrap();
        let listed = text.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        // What is said of an option stands two spaces away from it.
        let found = listed.flat_map(|line| flags(line.split("  ").next().unwrap())).map(str::to_owned);
        options.insert(command.replace('_', " "), found.collect());
    }
    options
}

/// What a document gives Tallybook on a line of shell, and whatever stands between backticks.
fn calls(document: &str) -> Vec<String> {
    let document = document.replace("\\\n", " ");
    let mut calls = Vec::new();
    for (index, part) in document.split("```").enumerate() {
        if index % 2 == 1 {
            let after_name = part.lines().flat_map(|line| line.split("tallybook ").skip(1));
            calls.extend(after_name.map(|rest| rest.split(['|', '#', '>', ')', '&', ';', '"', '`']).next().unwrap().to_owned()));
        } else {
            calls.extend(quoted(part).into_iter().map(|text| text.rsplit("tallybook ").next().unwrap().replace('\n', " ")));
        }
    }
    calls
}

#[test]
fn every_option_that_is_documented_is_one_of_its_command() {
    let options = options();
    let all: BTreeSet<&String> = options.values().flatten().collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut seen = 0;
    for path in documents.chain(["README.md", "CHANGELOG.md"].map(|name| root.join(name))) {
        for call in calls(&std::fs::read_to_string(&path).unwrap()) {
            let mut command = String::new();
            for word in call.split_whitespace() {
                let longer = format!("{command} {word}").trim_start().to_owned();
                if !options.contains_key(&longer) {
                    break;
                }
                command = longer;
            }
            // Somebody else's program; and `config` takes every setting.
            if command.is_empty() && !call.starts_with("--") {
                continue;
            }
            let takes_all = command.is_empty() || command == "config";
            for flag in flags(&call) {
                let is_one =
                    options[&command].contains(flag) || options[""].contains(flag) || takes_all && all.contains(&flag.to_owned());
                assert!(is_one, "{}: `{call}`: there is no {flag}", path.display());
                seen += 1;
            }
        }
    }
    assert!(options.len() > 30 && seen > 80, "{} commands, {seen} options", options.len());
}
