//! After a crash: does work go on by itself, and is everything there, once?
use super::instance::Instance;
use super::ledger::{Ledger, Row};
use super::patience::ask;
use super::summary::Summary;
use tallybook::rollup::verify;

/// What an import has to have stored, in all files together: records, and the sums of their tokens.
pub(super) type Imported = (i64, i64, i64);

/// Waits until a fold has run that began after this was called, and all history is covered.
pub(super) async fn work_goes_on(instance: &Instance) {
    let pool = &instance.pool;
    let now: String = ask("the time", || sqlx::query_scalar("select clock_timestamp()::text").fetch_optional(pool)).await;
    let folded = "select 1 from tallybook.task_usage_rollup_state
        where last_run_started_at > $1::timestamptz and last_error is null";
    let _: i32 = ask("a fold", || sqlx::query_scalar(folded).bind(&now).fetch_optional(pool)).await;
    let covered = "select 1 where not exists (select from tallybook.rollup where covered_from > '-infinity')";
    let _: i32 = ask("history to be covered", || sqlx::query_scalar(covered).fetch_optional(pool)).await;
}

/// Compares what is stored with what was acknowledged, and each now-view with raw, while reports go on coming in.
pub(super) async fn check(instance: &Instance, ledger: &Ledger, summary: &mut Summary) {
    let pool = &instance.pool;
    let acknowledged = ledger.now();
    let rows: Vec<Row> = ask("what is stored", || async {
        let stored = "select task_id, model, event_key, sequence, input_tokens, output_tokens from public.task_usage
            where model <> 'imported'";
        sqlx::query_as(stored).fetch_all(pool).await.map(Some)
    })
    .await;
    summary.compared(&ledger.compare(acknowledged, &rows));
    let report = ask("a verification", || async { verify::verify(pool).await.map(Some) }).await;
    summary.verified(&report);
}

/// The same once everything is acknowledged and nobody reports any more: all of it is there and nothing else, in raw and in every
/// now-view.
pub(super) async fn check_totals(instance: &Instance, ledger: &Ledger, imported: Imported, summary: &mut Summary) {
    check(instance, ledger, summary).await;
    let (reported, imported) = (ledger.totals(), imported);
    let all = (reported.0 + imported.0, reported.1 + imported.1, reported.2 + imported.2);
    let shown = [
        (
            "raw and sealed",
            "select sum(event_count)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint from tallybook.contribution()",
        ),
        (
            "by day",
            "select sum(event_count)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint
             from tallybook.task_usage_daily_now",
        ),
        (
            "by quarter hour",
            "select sum(event_count)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint
             from tallybook.task_usage_quarter_hour_now",
        ),
    ];
    for (name, sums) in shown {
        let sums: (i64, i64, i64) = ask("the totals", || sqlx::query_as(sums).fetch_optional(&instance.pool)).await;
        summary.totalled(name, all, sums);
    }
}
