//! `tallybook usage`: exact figures in three shapes.
use super::{on, transcript_on};
use serde_json::Value;
use sqlx::Executor;
use std::io::Read;
use std::process::Stdio;
use tallybook::testing::{self, TestDatabase};

async fn with_usage() -> TestDatabase {
    let database = testing::database().await;
    database.pool.execute(include_str!("usage.sql")).await.unwrap();
    database
}

/// A transcript without the line that tells the time.
fn shown(database: &TestDatabase, arguments: &str) -> String {
    let all = transcript_on(database, &format!("usage --days 3660 {arguments}"));
    all.lines().filter(|line| !line.contains("exact as of")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_table_shows_every_key_and_the_total() {
    let database = with_usage().await;
    insta::assert_snapshot!(shown(&database, ""), @r#"
    day         provider   model              input  output  cache read  cache write       cost USD  unpriced tokens  events
    2026-02-02  anthropic  opus                  10      20          30           90   0.0000000001                0       1
    2026-02-02  anthropic  opus\u{1b}[2J          7       0           0            0           0.00                0       1
    2026-02-01  anthropic  opus           1,234,567  89,012     345,678        9,046         12.345                0       1
    2026-02-01  openai     gpt                1,000     100           0            0              -            1,100       1
    total                                 1,235,584  89,132     345,708        9,136  12.3450000001            1,100       4

    --- exit 0
    "#);
    insta::assert_snapshot!(shown(&database, "--by workspace,runtime"), @"
    workspace  runtime             input  output  cache read  cache write       cost USD  unpriced tokens  events
    Acme       laptop          1,235,567  89,112     345,678        9,046         12.345            1,100       2
    Acme       (unattributed)         10      20          30           90   0.0000000001                0       1
    Beta       laptop                  7       0           0            0           0.00                0       1
    total                      1,235,584  89,132     345,708        9,136  12.3450000001            1,100       4

    --- exit 0
    ");
    insta::assert_snapshot!(shown(&database, "--workspace acme --by model"), @"
    model      input  output  cache read  cache write       cost USD  unpriced tokens  events
    gpt        1,000     100           0            0              -            1,100       1
    opus   1,234,577  89,032     345,708        9,136  12.3450000001                0       2
    total  1,235,577  89,132     345,708        9,136  12.3450000001            1,100       3

    --- exit 0
    ");
    insta::assert_snapshot!(shown(&database, "--workspace Beta --runtime laptop --by day"), @"
    day         input  output  cache read  cache write  cost USD  unpriced tokens  events
    2026-02-02      7       0           0            0      0.00                0       1
    total           7       0           0            0      0.00                0       1

    --- exit 0
    ");
}

#[tokio::test]
async fn csv_and_json_keep_every_digit() {
    let database = with_usage().await;
    insta::assert_snapshot!(shown(&database, "--workspace acme --by day,runtime --csv"), @"
    date,runtime_id,runtime_name,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,cache_write_1h_tokens,cost_usd,uncosted_input_tokens,uncosted_output_tokens,uncosted_cache_read_tokens,uncosted_cache_write_tokens,uncosted_cache_write_1h_tokens,event_count
    2026-02-02,,,10,20,30,40,50,0.0000000001,0,0,0,0,0,1
    2026-02-01,00000000-0000-4000-8000-0000000000a1,laptop,1235567,89112,345678,9012,34,12.345,1000,100,0,0,0,2
    --- exit 0
    ");
    let output = on(&database, "usage --days 3660 --by provider --json").output().unwrap().stdout;
    let mut answer: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(answer["range"]["days"], 3660);
    for told_by_the_clock in ["as_of", "range"] {
        answer[told_by_the_clock].take();
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&answer).unwrap(), @r#"
    {
      "as_of": null,
      "exact": true,
      "items": [
        {
          "cache_read_tokens": 345708,
          "cache_write_1h_tokens": 84,
          "cache_write_tokens": 9052,
          "cost_usd": "12.3450000001",
          "event_count": 3,
          "input_tokens": 1234584,
          "output_tokens": 89032,
          "provider": "anthropic",
          "uncosted": {
            "cache_read_tokens": 0,
            "cache_write_1h_tokens": 0,
            "cache_write_tokens": 0,
            "input_tokens": 0,
            "output_tokens": 0
          }
        },
        {
          "cache_read_tokens": 0,
          "cache_write_1h_tokens": 0,
          "cache_write_tokens": 0,
          "cost_usd": "0",
          "event_count": 1,
          "input_tokens": 1000,
          "output_tokens": 100,
          "provider": "openai",
          "uncosted": {
            "cache_read_tokens": 0,
            "cache_write_1h_tokens": 0,
            "cache_write_tokens": 0,
            "input_tokens": 1000,
            "output_tokens": 100
          }
        }
      ],
      "range": null,
      "source": "tallybook.task_usage_daily_now",
      "total": {
        "cache_read_tokens": 345708,
        "cache_write_1h_tokens": 84,
        "cache_write_tokens": 9052,
        "cost_usd": "12.3450000001",
        "event_count": 4,
        "input_tokens": 1235584,
        "output_tokens": 89132,
        "uncosted": {
          "cache_read_tokens": 0,
          "cache_write_1h_tokens": 0,
          "cache_write_tokens": 0,
          "input_tokens": 1000,
          "output_tokens": 100
        }
      }
    }
    "#);
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_and_not_zero_usage() {
    let database = with_usage().await;
    insta::assert_snapshot!(shown(&database, "--workspace gamma"), @r#"
    --- standard error
    tallybook: there is no workspace "gamma"; name it by id, slug or name
    --- exit 2
    "#);
    insta::assert_snapshot!(shown(&database, "--runtime laptop"), @r#"
    --- standard error
    tallybook: "laptop" names 2 runtimes: 00000000-0000-4000-8000-0000000000a1, 00000000-0000-4000-8000-0000000000b1; say which one by its id
    --- exit 2
    "#);
    insta::assert_snapshot!(shown(&database, "--workspace acme --runtime 00000000-0000-4000-8000-0000000000b1"), @r#"
    --- standard error
    tallybook: there is no runtime "00000000-0000-4000-8000-0000000000b1"; name it by id or name
    --- exit 2
    "#);
    let nothing = transcript_on(&database, "usage --days 1");
    assert!(nothing.starts_with("No usage from 20") && nothing.ends_with("--- exit 0\n"), "{nothing}");
}

#[tokio::test]
async fn a_reader_who_leaves_early_is_no_error() {
    let database = with_usage().await;
    let many = "insert into public.task_usage (task_id, provider, model, input_tokens, created_at)
                select '00000000-0000-4000-8000-0000000000a3', 'p', 'model ' || n, n, '2026-01-01' from generate_series(1, 5000) n";
    database.pool.execute(many).await.unwrap();
    let mut child = on(&database, "usage --days 3660").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 3];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((&first, output.status.code(), output.stderr.as_slice()), (b"day", Some(0), b"".as_slice()));
}
