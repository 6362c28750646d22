//! What becomes of a single report.
use super::*;
use crate::ingest::Error;
use crate::ingest::error::FaultCode;
use crate::model::Ticks;
use jiff::{SignedDuration, Timestamp};

/// The one stored row, in short.
async fn row(bench: &Bench) -> String {
    let row = "select concat_ws(' ', provider, model, sequence, input_tokens, coalesce(cost_usd_ticks::text, 'unpriced'), \
               to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')) from public.task_usage";
    bench.text(row).await.unwrap()
}

#[tokio::test]
async fn c03_a_report_replayed_a_year_later_leaves_no_trace() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let report = report(task, 7).numbered(1).at("2026-02-27T10:00:00.123456Z");
    assert_eq!(bench.put(report.clone()).await, Outcome::Created);
    let version = "select concat(xmin, ' ', ctid, ' ', updated_at) from public.task_usage";
    let before = bench.text(version).await;
    bench.clock.advance(SignedDuration::from_hours(24 * 400));
    assert_eq!(bench.put(report).await, Outcome::Unchanged);
    assert_eq!(bench.text(version).await, before, "no row version is written");
}

#[tokio::test]
async fn a_correction_replaces_every_measure() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let count = |n| Count::try_from(n).unwrap();
    let counts =
        Counts { input: count(1), output: count(2), cache_read: count(3), cache_write: count(4), cache_write_1h: count(5) };
    bench.put(Report { counts, ..report(task, 0) }).await;
    let measures = "select concat_ws(' ', input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens) \
                    from public.task_usage";
    assert_eq!(bench.text(measures).await.unwrap(), "1 2 3 4 5");
    let corrections = [
        Counts { input: count(9), ..counts },
        Counts { output: count(9), ..counts },
        Counts { cache_read: count(9), ..counts },
        Counts { cache_write: count(9), ..counts },
        Counts { cache_write_1h: Count::MAX, ..counts },
    ];
    for counts in corrections {
        assert_eq!(bench.put(Report { counts, ..report(task, 0) }).await, Outcome::Replaced);
    }
    assert_eq!(bench.text(measures).await.unwrap(), "1 2 3 4 1000000000000");
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 1);
}

#[tokio::test]
async fn c10_a_delayed_older_total_does_not_lower_the_bill() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    assert_eq!(bench.put(report(task, 200).numbered(2)).await, Outcome::Created);
    assert_eq!(bench.put(report(task, 100).numbered(1)).await, Outcome::Stale);
    assert_eq!(row(&bench).await, "anthropic opus 2 200 unpriced 2026-03-01T12:00:00.000000");
    assert_eq!(bench.put(report(task, 150).numbered(2)).await, Outcome::Replaced, "an equal sequence corrects");
    assert_eq!(bench.put(report(task, 170)).await, Outcome::Replaced, "none at all corrects, and keeps the stored one");
    assert_eq!(bench.put(report(task, 170)).await, Outcome::Unchanged);
    assert_eq!(bench.put(report(task, 1).numbered(1)).await, Outcome::Stale);
    assert_eq!(bench.put(report(task, 170).numbered(1)).await, Outcome::Stale, "even with the same counts");
    assert_eq!(bench.put(report(task, 170).numbered(5)).await, Outcome::Replaced, "the order moves on");
    assert_eq!(bench.put(report(task, 300).numbered(4)).await, Outcome::Stale);
    assert_eq!(row(&bench).await, "anthropic opus 5 170 unpriced 2026-03-01T12:00:00.000000");
}

#[tokio::test]
async fn r09_a_re_report_keeps_the_first_time_unless_it_names_one() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 1).at("2026-02-26T08:00:00Z")).await;
    bench.clock.advance(SignedDuration::from_hours(48));
    assert_eq!(bench.put(report(task, 2)).await, Outcome::Replaced);
    assert_eq!(row(&bench).await, "anthropic opus 2 unpriced 2026-02-26T08:00:00.000000");
    assert_eq!(bench.put(report(task, 2).at("2026-02-28T09:00:00Z")).await, Outcome::Replaced);
    assert_eq!(row(&bench).await, "anthropic opus 2 unpriced 2026-02-28T09:00:00.000000");
}

#[tokio::test]
async fn the_time_of_the_clock_is_told_from_the_same_time_in_a_report() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 1).at("2026-02-26T08:00:00Z")).await;
    assert_eq!(bench.put(report(task, 1).at(NOW)).await, Outcome::Replaced, "a report may name this very microsecond");
    let both = bench.submit(vec![report(task, 2), report(task, 2).keyed("e").at(NOW)]).await.unwrap();
    assert_eq!(both, [Outcome::Replaced, Outcome::Created]);
    assert_eq!(bench.number("select count(*) from public.task_usage where created_at = '2026-03-01 12:00Z'").await, 2);
}

#[tokio::test]
async fn c08_not_priced_free_and_negative_are_three_cases() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 1)).await;
    assert_eq!(row(&bench).await, "anthropic opus 1 unpriced 2026-03-01T12:00:00.000000");
    assert_eq!(Ticks::parse("-0.01"), Err(crate::model::ticks::Error::Negative));
    let priced = |cost| Report { cost: Some(Ticks::parse(cost).unwrap()), ..report(task, 1) };
    assert_eq!(bench.put(priced("0")).await, Outcome::Replaced);
    assert_eq!(row(&bench).await, "anthropic opus 1 0 2026-03-01T12:00:00.000000");
    assert_eq!(bench.put(priced("0.0125")).await, Outcome::Replaced);
    assert_eq!(row(&bench).await, "anthropic opus 1 125000000 2026-03-01T12:00:00.000000");
    assert_eq!(bench.put(report(task, 1)).await, Outcome::Replaced, "the price is withdrawn");
    assert_eq!(row(&bench).await, "anthropic opus 1 unpriced 2026-03-01T12:00:00.000000");
}

#[tokio::test]
async fn one_provider_in_two_spellings_is_one_row() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let by = |provider| Report { provider: Provider::parse(provider).unwrap(), ..report(task, 1) };
    assert_eq!(bench.put(by("Claude")).await, Outcome::Created);
    assert_eq!(bench.put(by("claude ")).await, Outcome::Unchanged);
    let both = bench.submit(vec![by("CLAUDE"), by("claude")]).await;
    assert!(matches!(both, Err(Error::Invalid(_))), "and the same identity: {both:?}");
}

#[tokio::test]
async fn c04_the_same_identity_twice_in_a_batch_is_refused_with_both_places() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let batch = vec![report(task, 1), report(task, 1).keyed("a"), report(task, 2), report(task, 3).keyed("a")];
    let Err(Error::Invalid(faults)) = bench.submit(batch).await else { panic!("must be refused") };
    assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), [2, 3]);
    assert!(faults.iter().all(|fault| fault.code == FaultCode::DuplicateIdentity));
    assert!(faults[1].to_string().starts_with("reports[3]: has the same task, provider, model and event key as reports[1]"));
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 0);
}

#[tokio::test]
async fn a_batch_is_bounded_and_not_empty() {
    let bench = Bench::new().await;
    let task = Uuid::new_v4();
    assert!(matches!(bench.submit(Vec::new()).await, Err(Error::Empty)));
    let many = (0..10_001).map(|n| report(task, 1).keyed(&n.to_string())).collect();
    assert!(matches!(bench.submit(many).await, Err(Error::TooMany { given: 10_001, max: 10_000 })));
}

#[tokio::test]
async fn c02_ten_thousand_distinct_keys_at_once_are_all_stored() {
    let bench = Bench::new().await;
    let task = Uuid::new_v4();
    let batch: Vec<_> = (0..10_000).map(|n| report(task, n).keyed(&format!("{n}")).at_agent("a")).collect();
    assert_eq!(bench.submit(batch.clone()).await.unwrap(), vec![Outcome::Created; 10_000]);
    assert_eq!(bench.number("select sum(input_tokens)::bigint from public.task_usage").await, 49_995_000);
    assert_eq!(bench.submit(batch.clone()).await.unwrap(), vec![Outcome::Unchanged; 10_000]);
    let mut mixed = batch;
    mixed[17].counts.input = Count::ZERO;
    mixed[9_999].event_key = EventKey::parse("new").unwrap();
    let outcomes = bench.submit(mixed).await.unwrap();
    assert_eq!(outcomes[17], Outcome::Replaced);
    assert_eq!(outcomes[9_999], Outcome::Created);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Unchanged).count(), 9_998);
}

#[tokio::test]
async fn a_late_report_falls_on_the_day_it_happened() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 1).at("2019-07-01T23:59:59.999999Z")).await;
    let stored: jiff_sqlx::Timestamp =
        sqlx::query_scalar("select created_at from public.task_usage").fetch_one(bench.pool()).await.unwrap();
    assert_eq!(Timestamp::from(stored).to_string(), "2019-07-01T23:59:59.999999Z");
}
