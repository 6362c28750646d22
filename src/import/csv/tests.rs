//! Files into a real database.
use super::*;
use crate::import::BadLine;
use crate::testing::{TestDatabase, database};
use jiff::tz::TimeZone;
use std::fmt::Write;
use std::io::Write as _;
use tempfile::TempDir;

/// A database, and a directory with files.
pub(super) struct Bench {
    pub(super) database: TestDatabase,
    directory: TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self { database: database().await, directory: tempfile::tempdir().unwrap() }
    }

    /// Options to read the file `name` with `content`.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> Options {
        let path = self.directory.path().join(name);
        File::create(&path).unwrap().write_all(content).unwrap();
        Options {
            path,
            source: None,
            workspace: None,
            runtime: None,
            agent: None,
            columns: Columns {
                time: "at".into(),
                input: "in".into(),
                output: "out".into(),
                cache_read: None,
                cache_write: None,
                cost: None,
                model: Origin::Constant("gpt".into()),
                provider: Origin::Constant("azure".into()),
                task: None,
                key: None,
            },
            on_bad: OnBad::Fail,
            zone: TimeZone::UTC,
            delimiter: b',',
        }
    }

    pub(super) async fn import(&self, options: &Options) -> Result<Summary, Error> {
        self.import_with_bad(options).await.0
    }

    pub(super) async fn import_with_bad(&self, options: &Options) -> (Result<Summary, Error>, Vec<String>) {
        let mut bad = Vec::new();
        let progress = |event: Event<'_>| {
            if let Event::Skipped(line) = event {
                bad.push(line.to_string());
            }
        };
        let summary = run(&self.database.pool, &Clock::system(), options, progress).await;
        (summary, bad)
    }

    pub(super) async fn text(&self, query: &'static str) -> String {
        let text: Option<String> = sqlx::query_scalar(query).fetch_one(&self.database.pool).await.unwrap();
        text.unwrap_or_default()
    }
}

const SUMS: &str =
    "select concat_ws(' ', count(*), sum(input_tokens), sum(output_tokens), count(distinct task_id)) from public.task_usage";

/// `count` records a minute apart, with n input and 2n output tokens.
fn minutes(count: u64) -> String {
    let start: jiff::Timestamp = "2023-11-16T00:00:00Z".parse().unwrap();
    let mut text = "at,in,out\n".to_owned();
    for n in 0..count {
        let at = start + jiff::SignedDuration::from_mins(i64::try_from(n).unwrap());
        writeln!(text, "{at},{n},{}", 2 * n).unwrap();
    }
    text
}

#[tokio::test]
async fn a_file_is_imported_whole_and_a_second_time_changes_nothing() {
    let bench = Bench::new().await;
    let options = bench.file("conv.csv", minutes(12_345).as_bytes());
    let summary = bench.import(&options).await.unwrap();
    assert_eq!(summary, Summary { records: 12_345, created: 12_345, ..Summary::default() });
    let sum = 12_344 * 12_345 / 2;
    let expected = format!("12345 {sum} {} 9", 2 * sum);
    assert_eq!(bench.text(SUMS).await, expected, "each day is a task");
    let names = "select concat_ws(' ', workspace.name, slug, agent.name, runtime.name) from public.workspace, public.agent, \
                 public.agent_runtime as runtime";
    assert_eq!(bench.text(names).await, "conv conv conv conv");
    let again = bench.import(&options).await.unwrap();
    assert_eq!(again, Summary { records: 12_345, unchanged: 12_345, ..Summary::default() });
    assert_eq!(bench.text(SUMS).await, expected);
}

#[tokio::test]
async fn a_file_that_grew_or_was_corrected_is_brought_up_to_date() {
    let bench = Bench::new().await;
    bench.import(&bench.file("a.csv", minutes(10).as_bytes())).await.unwrap();
    let corrected = minutes(12).replace(",3,6\n", ",30,6\n");
    let summary = bench.import(&bench.file("a.csv", corrected.as_bytes())).await.unwrap();
    assert_eq!(summary, Summary { records: 12, created: 2, replaced: 1, unchanged: 9, ..Summary::default() });
}

#[tokio::test]
async fn every_column_is_read() {
    let bench = Bench::new().await;
    let file = "\u{feff}id; at ;who;model;in;out;hit;miss;usd;task\n\
        r1;2023-11-16 18:17:03.9799600;Azure;gpt-4;374.0;44;1;;0.0125;T-1\n\
        r2;2023-11-16 23:30:00;Azure;gpt-4;1;2;;3;;T-1\n\
        r3;2023-11-16 23:30:00;Azure;gpt-4;1;2;;3;0;00000000-0000-0000-0000-000000000007\n";
    let mut options = bench.file("full.csv", file.as_bytes());
    let column = |name: &str| Some(name.to_owned());
    options.columns = Columns {
        cache_read: column("hit"),
        cache_write: column("miss"),
        cost: column("USD"),
        model: "model".parse().unwrap(),
        provider: "who".parse().unwrap(),
        task: column("task"),
        key: column("id"),
        ..options.columns
    };
    options.delimiter = b';';
    options.zone = TimeZone::get("Asia/Kolkata").unwrap();
    options.workspace = Some(Name::parse("Acme").unwrap());
    options.agent = Some(Name::parse("ada").unwrap());
    bench.import(&options).await.unwrap();
    let rows = "select string_agg(concat_ws(' ', event_key, task_usage.provider, model, input_tokens, output_tokens, cache_read_tokens, \
        cache_write_tokens, coalesce(cost_usd_ticks::text, 'unpriced'), task_usage.created_at at time zone 'UTC', agent.name, runtime.name, \
        workspace.name), E'\\n' order by event_key) from public.task_usage \
        join public.agent_task_queue as task on task.id = task_id join public.agent on agent.id = agent_id \
        join public.agent_runtime as runtime on runtime.id = task.runtime_id join public.workspace on workspace.id = agent.workspace_id";
    assert_eq!(
        bench.text(rows).await,
        "r1 azure gpt-4 374 44 1 0 125000000 2023-11-16 12:47:03.97996 ada full Acme\n\
         r2 azure gpt-4 1 2 0 3 unpriced 2023-11-16 18:00:00 ada full Acme\n\
         r3 azure gpt-4 1 2 0 3 0 2023-11-16 18:00:00 ada full Acme"
    );
    let tasks =
        "select concat(count(*), ' ', max(id::text) filter (where id::text like '00000000%')) from public.agent_task_queue";
    assert_eq!(bench.text(tasks).await, "2 00000000-0000-0000-0000-000000000007");
}

const BAD: &[u8] = b"at,in,out\n\
    2023-11-16 00:00:00,1,1\n\
    2023-11-16 00:01:00,-1,1\n\
    2023-11-16 00:02:00,2,1.5\n\
    NaN,3,1\n\
    2023-11-16 00:03:00,4\n\
    \n\
    1970-01-01 00:00:00,5,1\n\
    2023-11-16 00:04:00,\xff,1\n\
    2023-11-16 00:05:00,,1\n\
    2023-11-16 00:06:00,6,1\n";

#[tokio::test]
async fn bad_lines_are_left_out_and_named_if_asked() {
    let bench = Bench::new().await;
    let options = Options { on_bad: OnBad::Skip, ..bench.file("bad.csv", BAD) };
    let (summary, bad) = bench.import_with_bad(&options).await;
    assert_eq!(summary.unwrap(), Summary { records: 9, created: 2, skipped: 7, ..Summary::default() });
    insta::assert_snapshot!(bad.join("\n"));
    assert_eq!(bench.text(SUMS).await, "2 7 2 1");
}

#[tokio::test]
async fn lines_are_counted_whatever_ends_them() {
    let bench = Bench::new().await;
    let lines = [
        "at,in,out,note",
        "2023-11-16,1,1,\"two",
        "lines\"",
        "",
        "",
        "x,1,1,",
        "2023-11-16,1,1,",
        "\"x\",1,1,\"a",
        "",
        "b\"",
        "x,1,1,",
    ];
    for line_break in ["\n", "\r\n", "\r"] {
        let mut options = bench.file("breaks.csv", lines.join(line_break).as_bytes());
        options.on_bad = OnBad::Skip;
        let (_, bad) = bench.import_with_bad(&options).await;
        let starts: Vec<&str> = bad.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(starts, ["line 6", "line 8", "line 11"], "{line_break:?}");
    }
    assert_eq!(bench.text(SUMS).await, "2 2 2 1");
}

#[tokio::test]
async fn a_bad_line_ends_the_import_with_all_before_it_stored() {
    let bench = Bench::new().await;
    let mut content = minutes(7_000).replace(",6543,", ",x,").into_bytes();
    let Err(Error::Line { line, summary }) = bench.import(&bench.file("a.csv", &content)).await else { panic!("must fail") };
    assert_eq!(line, BadLine { line: 6_545, column: "in".into(), reason: line.reason.clone() });
    assert_eq!(summary, Summary { records: 6_543, created: 6_543, ..Summary::default() });
    content = minutes(7_000).into_bytes();
    let summary = bench.import(&bench.file("a.csv", &content)).await.unwrap();
    assert_eq!(summary, Summary { records: 7_000, created: 457, unchanged: 6_543, ..Summary::default() });
}

#[tokio::test]
async fn an_import_that_was_stopped_is_completed_by_running_it_again() {
    let bench = Bench::new().await;
    let options = bench.file("a.csv", minutes(20_000).as_bytes());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let mut stop = Some(stop);
    let progress = |event: Event<'_>| {
        if let Event::Stored { summary, .. } = event
            && summary.records >= 10_000
            && let Some(stop) = stop.take()
        {
            stop.send(()).unwrap();
        }
    };
    let clock = Clock::system();
    tokio::select! {
        biased;
        stopped = stopped => stopped.unwrap(),
        summary = run(&bench.database.pool, &clock, &options, progress) => panic!("not stopped: {summary:?}"),
    }
    let summary = bench.import(&options).await.unwrap();
    assert!(summary.unchanged >= 10_000, "{summary:?}");
    assert_eq!(summary.unchanged + summary.created, 20_000);
    let sum = 19_999 * 20_000 / 2;
    assert_eq!(bench.text(SUMS).await, format!("20000 {sum} {} 14", 2 * sum));
}

#[tokio::test]
async fn a_key_that_comes_twice_is_a_bad_line() {
    let bench = Bench::new().await;
    let file = b"at,in,out,id\n2023-11-16,1,1,a\n2023-11-16,2,1,b\n2023-11-16,3,1,a\n2023-11-16,4,1,\n";
    let mut options = bench.file("keys.csv", file);
    options.columns.key = Some("id".into());
    options.on_bad = OnBad::Skip;
    let (summary, bad) = bench.import_with_bad(&options).await;
    assert_eq!(summary.unwrap(), Summary { records: 4, created: 2, skipped: 2, ..Summary::default() });
    assert!(bad[0].starts_with(r#"line 4: column "id" has the key "a" of an earlier record"#), "{bad:?}");
    assert!(bad[1].starts_with(r#"line 5: column "id" must not be empty"#), "{bad:?}");
}

#[tokio::test]
async fn a_task_of_another_workspace_is_a_bad_line() {
    let bench = Bench::new().await;
    let file = b"at,in,out,task\n2023-11-16,1,1,00000000-0000-0000-0000-000000000007\n2023-11-16,2,1,mine\n";
    let mut options = bench.file("theirs.csv", file);
    options.columns.task = Some("task".into());
    bench.import(&options).await.unwrap();
    let mut options = bench.file("ours.csv", file);
    options.columns.task = Some("task".into());
    options.on_bad = OnBad::Skip;
    let (summary, bad) = bench.import_with_bad(&options).await;
    assert_eq!(summary.unwrap(), Summary { records: 2, created: 1, skipped: 1, ..Summary::default() });
    assert!(bad[0].starts_with("line 2: task_id: there is no task 00000000-0000-0000-0000-000000000007"), "{bad:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_said_before_anything_is_made() {
    let bench = Bench::new().await;
    let mut wrong = Vec::new();
    let mut missing = bench.file("a.csv", b"when,in,out,IN\n");
    wrong.push(bench.import(&missing).await.unwrap_err().to_string());
    missing.columns.time = "when".into();
    missing.columns.input = "In".into();
    wrong.push(bench.import(&missing).await.unwrap_err().to_string());
    missing.columns.input = "in".into();
    missing.columns.model = Origin::Constant(" ".into());
    wrong.push(bench.import(&missing).await.unwrap_err().to_string());
    missing.path = "no/such/file.csv".into();
    wrong.push(bench.import(&missing).await.unwrap_err().to_string());
    wrong.push(bench.import(&bench.file("empty.csv", b"")).await.unwrap_err().to_string());
    insta::assert_snapshot!(wrong.join("\n"));
    assert_eq!(bench.text("select count(*)::text from public.workspace").await, "0");
}
