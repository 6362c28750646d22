//! Drift of every kind is listed, key by key; what is exact is not.
use super::{DRIFT, answer, differences, usual};
use crate::cli::transcript_on;
use serde_json::json;
use sqlx::Executor;

#[tokio::test]
async fn each_kind_of_drift_is_listed_with_both_sums() {
    let db = usual().await;
    db.pool.execute("select public.rollup_task_usage_daily()").await.unwrap();
    let exact = transcript_on(&db, "adopt usual-design report");
    assert!(exact.ends_with("Its table equals the raw rows: 1 key compared.\n--- exit 0\n"), "{exact}");
    // Another way to write a provider is no drift.
    db.pool.execute("update public.task_usage_daily set provider = 'Anthropic'").await.unwrap();
    assert!(transcript_on(&db, "adopt usual-design report").ends_with("--- exit 0\n"));

    sqlx::raw_sql(DRIFT).execute(&mut db.connect().await).await.unwrap();
    let report = answer(&db, "adopt usual-design report --json");
    assert_eq!(
        differences(&report),
        [
            json!(["ghost", "2026-02-14", "zoned", 80, 0]),
            json!(["missing", "2026-02-13", "zoned", 0, 80]),
            json!(["missing", "2026-02-12", "late", 0, 60]),
            json!(["ghost", "2026-02-11", "opus", 70, 0]),
            json!(["ghost", "2026-02-10", "opus", 50, 0]),
        ]
    );
    let counts = &report["comparison"];
    assert_eq!(
        (&counts["keys"], &counts["ghosts"], &counts["missing"], &counts["different"]),
        (&json!(7), &json!(3), &json!(2), &json!(0))
    );
    assert_eq!((&report["exact"], &counts["maybe_late"]), (&json!(false), &json!(0)));

    // One that both have, on a day that may still be ticked.
    db.pool
        .execute(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens)
             select task_id, provider, model, 'now', 5 from public.task_usage where event_key = 'late'",
        )
        .await
        .unwrap();
    db.pool
        .execute("update public.task_usage_daily set output_tokens = 9007199254740993 where bucket_date = '2026-01-02'")
        .await
        .unwrap();
    let told = transcript_on(&db, "adopt usual-design report --keys 1");
    assert!(
        told.contains("\nand 6 more\n\n7 of 8 keys differ: 3 missing in its table, 3 only there, 1 with other sums.\n"),
        "{told}"
    );
    assert!(
        told.contains("\n1 lie on days that its watermark has not passed: its next ticks may come there.\n--- exit 1\n"),
        "{told}"
    );
    let all = transcript_on(&db, "adopt usual-design report");
    assert!(all.contains("output_tokens 9007199254740993  output_tokens 0\n"), "{all}");

    // Tallybook, beside it, is exact all the time.
    assert!(transcript_on(&db, "verify").ends_with("Exact.\n--- exit 0\n"));
}
