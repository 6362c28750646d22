//! Reports to a database whose tables somebody else has made: stored where a row fits, refused by name where it does not, and never cut.
use super::{Bench, NOW, named, report};
use crate::clock::Clock;
use crate::ingest::error::FaultCode;
use crate::ingest::{Error, Ingest, Limits, Outcome, Report};
use crate::model::{Count, Model, Provider, Ticks};
use crate::rollup::{backfill, fold, verify};
use crate::testing::adopted_database;
use sqlx::Executor;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const WORKSPACE: Uuid = Uuid::from_u128(0x4000_8000_0000_0000_0001);
const TASK: Uuid = Uuid::from_u128(0x4000_8000_0000_0000_0004);

/// On `src/testing/host.sql`.
async fn bench() -> Bench {
    let database = adopted_database().await;
    let clock = Clock::fixed(NOW.parse().unwrap());
    let tracker = TaskTracker::new();
    let ingest = Ingest::start(database.pool.clone(), clock.clone(), &tracker, Limits::default());
    Bench { database, ingest, tracker, clock, caller: super::bound_to(Some(WORKSPACE)), workspace: WORKSPACE }
}

/// The refusal of the second of two reports: its code and its field.
async fn refused(bench: &Bench, bad: Report) -> (FaultCode, String, String) {
    let fine = Report { model: Model::parse("fine").unwrap(), ..report(TASK, 1) };
    match bench.submit(vec![fine, bad]).await.unwrap_err() {
        Error::Invalid(faults) => {
            assert_eq!((faults.len(), faults[0].index), (1, 1), "{faults:?}");
            (faults[0].code, faults[0].field.clone(), faults[0].reason.clone())
        }
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn running_totals_are_made_replaced_and_left_alone() {
    let bench = bench().await;
    let untimed = |input| Report { model: Model::parse("haiku").unwrap(), ..report(TASK, input) };
    let total = |input| untimed(input).at("2026-02-01T10:00:00.123456Z");
    assert_eq!(bench.put(total(100)).await, Outcome::Created);
    assert_eq!(bench.put(total(100)).await, Outcome::Unchanged);
    assert_eq!(bench.put(untimed(300)).await, Outcome::Replaced);
    assert_eq!(bench.put(untimed(300)).await, Outcome::Unchanged, "a report without a time keeps the first one's");
    let stored = "select concat_ws(' ', provider, model, input_tokens, created_at at time zone 'UTC', updated_at is not null)
        from public.task_usage where provider = 'anthropic'";
    assert_eq!(bench.text(stored).await.as_deref(), Some("anthropic haiku 300 2026-02-01 10:00:00.123 t"));
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 2, "the host's own row is as it was");
    fold::drain(bench.pool()).await.unwrap();
    assert!(verify::verify(bench.pool()).await.unwrap().exact());
}

#[tokio::test]
async fn what_the_table_has_no_column_for_is_refused_by_index_and_field() {
    let bench = bench().await;
    let counted = |counts: super::Counts| Report { counts, ..report(TASK, 1) };
    let hour = super::Counts { cache_write_1h: Count::try_from(5).unwrap(), ..super::Counts::default() };
    for (bad, field) in [
        (report(TASK, 1).keyed("req-1"), "event_key"),
        (report(TASK, 1).numbered(3), "sequence"),
        (Report { cost: Some(Ticks::try_from(1).unwrap()), ..report(TASK, 1) }, "cost_usd"),
        (counted(hour), "cache_write_1h_tokens"),
    ] {
        let (code, told, reason) = refused(&bench, bad).await;
        assert_eq!((code, told.as_str()), (FaultCode::ColumnMissing, field));
        assert!(reason.contains("has no column") && reason.contains("add one"), "{reason}");
    }
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 1, "nothing of those requests was stored");
}

#[tokio::test]
async fn tasks_are_made_with_what_the_host_demands_and_nothing_else_is() {
    let bench = bench().await;
    let id = Uuid::new_v4();
    let placed = |id| report(id, 7).at_agent("agent").at_runtime("runtime");
    assert_eq!(bench.put(placed(id)).await, Outcome::Created);
    let made = "select concat_ws(' ', status, priority, started_at is not null) from public.agent_task_queue where priority = 0 and status = 'running'";
    assert_eq!(bench.text(made).await.as_deref(), Some("running 0 t"));
    let (code, field, _) = refused(&bench, report(Uuid::new_v4(), 1).at_agent("agent").at_issue("a title")).await;
    assert_eq!((code, field.as_str()), (FaultCode::NotWritable, "task.issue"), "issues have a number that nobody here knows");
    assert_eq!(bench.put(placed(Uuid::new_v4()).at_runtime("another")).await, Outcome::Created, "a runtime can be made");
    let homeless = report(Uuid::new_v4(), 1).placed(|task| task.agent = Some(named("new")));
    let (code, field, _) = refused(&bench, homeless).await;
    assert_eq!((code, field.as_str()), (FaultCode::NotWritable, "task.runtime"));
    fold::drain(bench.pool()).await.unwrap();
    assert!(verify::verify(bench.pool()).await.unwrap().exact());
}

#[tokio::test]
async fn what_only_the_database_knows_is_told_in_its_words_and_fails_that_request_alone() {
    let bench = bench().await;
    let long = Report { model: Model::parse(&"m".repeat(101)).unwrap(), ..report(TASK, 1) };
    let error = bench.submit(vec![long]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(why) if why.contains("character varying(100)")), "never cut: {error}");
    let large = report(TASK, 3_000_000_000);
    let error = bench.submit(vec![large]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(why) if why.contains("integer out of range")), "{error}");
    bench.pool().execute("alter table public.task_usage add constraint small check (input_tokens < 1000)").await.unwrap();
    let error = bench.submit(vec![report(TASK, 1_000)]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(why) if why.contains("\"small\"")) && error.is_refusal(), "{error}");
}

#[tokio::test]
async fn an_enum_of_providers_is_written_in_its_own_spelling() {
    let bench = bench().await;
    bench
        .pool()
        .execute(
            "create type public.provider as enum ('Anthropic', 'OpenAI');
             alter table public.task_usage alter provider type public.provider using provider::public.provider",
        )
        .await
        .unwrap();
    assert_eq!(bench.put(report(TASK, 11)).await, Outcome::Replaced, "the host's own row, under its own spelling");
    assert_eq!(bench.put(report(TASK, 11)).await, Outcome::Unchanged);
    assert_eq!(
        bench.number("select count(*) from public.task_usage where provider = 'Anthropic' and input_tokens = 11").await,
        1
    );
    let other = Report { provider: Provider::parse("mistral").unwrap(), ..report(TASK, 1) };
    let (code, field, _) = refused(&bench, other).await;
    assert_eq!((code, field.as_str()), (FaultCode::NotWritable, "provider"));
}

#[tokio::test]
async fn a_provider_that_the_host_spells_in_its_own_way_is_the_same() {
    let bench = bench().await;
    assert_eq!(bench.put(report(TASK, 11)).await, Outcome::Replaced, "the host's own row, under its own spelling");
    assert_eq!(bench.put(report(TASK, 11)).await, Outcome::Unchanged);
    let stored = "select string_agg(concat_ws(' ', provider, model, input_tokens), ', ') from public.task_usage";
    assert_eq!(bench.text(stored).await.as_deref(), Some("Anthropic opus 11"));
    // Where the host has both, each is its own.
    let both =
        "insert into public.task_usage (task_id, provider, model) select task_id, 'anthropic', model from public.task_usage";
    bench.pool().execute(both).await.unwrap();
    assert_eq!(bench.put(report(TASK, 12)).await, Outcome::Replaced);
    let stored =
        "select string_agg(concat_ws(' ', provider, input_tokens), ', ' order by provider collate \"C\") from public.task_usage";
    assert_eq!(bench.text(stored).await.as_deref(), Some("Anthropic 11, anthropic 12"));
    fold::drain(bench.pool()).await.unwrap();
    assert!(verify::verify(bench.pool()).await.unwrap().exact());
}

#[tokio::test]
async fn c03_a_provider_that_the_host_spelt_in_its_own_way_was_sealed_all_the_same() {
    let bench = bench().await;
    let seal = "select tallybook.seal(date_trunc('day', min(created_at), 'UTC'), date_trunc('day', min(created_at), 'UTC') + interval '24 hours', null, 10)
        from public.task_usage";
    backfill::run(bench.pool(), 1000, |_| {}).await.unwrap();
    bench.pool().execute(seal).await.unwrap();
    assert_eq!(bench.number("select count(*) from public.task_usage").await, 0);
    assert_eq!(bench.put(report(TASK, 11)).await, Outcome::Sealed);
}

#[tokio::test]
async fn texts_that_the_host_takes_for_one_are_not_told_apart_for_it() {
    let bench = bench().await;
    let blur = "create collation public.blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        alter table public.task_usage alter model type varchar(100) collate public.blurred";
    bench.pool().execute(blur).await.unwrap();
    let Error::Invalid(faults) = bench.submit(vec![report(TASK, 1)]).await.unwrap_err() else { panic!("it is refused") };
    assert_eq!((faults[0].code, faults[0].field.as_str()), (FaultCode::NotWritable, ""));
    assert!(faults[0].reason.contains("its column model for one that differ"), "{}", faults[0].reason);
}

#[tokio::test]
async fn without_a_key_or_with_columns_nobody_can_fill_all_reports_are_refused() {
    for (change, told) in [
        (
            "alter table public.task_usage drop constraint task_usage_task_id_provider_model_key",
            "no unique key on (task_id, provider, model)",
        ),
        (
            "alter table public.task_usage add column tenant uuid not null default gen_random_uuid(); alter table public.task_usage alter tenant drop default",
            "(tenant:",
        ),
    ] {
        let bench = bench().await;
        bench.pool().execute(change).await.unwrap();
        let Error::Invalid(faults) = bench.submit(vec![report(TASK, 1)]).await.unwrap_err() else { panic!("{told}") };
        assert_eq!((faults[0].code, faults[0].field.as_str()), (FaultCode::NotWritable, ""));
        assert!(faults[0].reason.contains(told), "{}", faults[0].reason);
    }
}

#[tokio::test]
async fn a_column_that_goes_or_comes_is_noticed() {
    let bench = bench().await;
    bench.pool().execute("alter table public.task_usage add column cost_usd_ticks bigint").await.unwrap();
    let report = |input| Report { model: Model::parse("haiku").unwrap(), ..report(TASK, input) };
    let priced = |ticks| Report { cost: Some(Ticks::try_from(ticks).unwrap()), ..report(5) };
    assert_eq!(bench.put(priced(77)).await, Outcome::Created);
    assert_eq!(bench.number("select cost_usd_ticks from public.task_usage where provider = 'anthropic'").await, 77);
    // Capture is not what this is about: it reads its columns in its own way.
    bench
        .pool()
        .execute("alter table public.task_usage disable trigger user; alter table public.task_usage drop column cost_usd_ticks")
        .await
        .unwrap();
    let (code, ..) = refused(&bench, priced(78)).await;
    assert_eq!(code, FaultCode::ColumnMissing, "the statement failed, the tables were read again, and the report with them");
    assert_eq!(bench.put(report(6)).await, Outcome::Replaced);
}
