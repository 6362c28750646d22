//! Retention of a database: every total stays, whatever the run meets.
use super::*;
use crate::audit::Actor;
use crate::rollup::{backfill, fold, repair, verify};
use crate::testing::{self, TestDatabase};
use jiff::civil::{Date, date};
use sqlx::{AssertSqlSafe, Connection, Executor};

/// Usage of 2026-01-02 and of 2026-02-01 to 2026-02-05, 16 rows of 40 tokens.
async fn world() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("../testing/one_task.sql")).await.unwrap();
    db.pool.execute(include_str!("../testing/five_days.sql")).await.unwrap();
    fold::drain(&db.pool).await.unwrap();
    db
}

/// A policy that keeps nothing from before `day`.
async fn keep_from(db: &TestDatabase, raw: Option<Date>, quarter_hours: Option<Date>) -> Policy {
    let mut ages = [None, None];
    for (age, day) in ages.iter_mut().zip([raw, quarter_hours]) {
        let days = "select (now() at time zone 'UTC')::date - $1::date";
        let Some(day) = day else { continue };
        let days: i32 = sqlx::query_scalar(days).bind(jiff_sqlx::ToSqlx::to_sqlx(day)).fetch_one(&db.pool).await.unwrap();
        *age = Some(format!("{days}d").parse().unwrap());
    }
    Policy { raw: ages[0], quarter_hours: ages[1] }
}

async fn retain(db: &TestDatabase, raw: Option<Date>, quarter_hours: Option<Date>, batch_rows: i64) -> Result<Report, Error> {
    let plan = plan(&db.pool, keep_from(db, raw, quarter_hours).await).await.unwrap();
    run(&db.pool, &Actor::cli(), &plan, Options { batch_rows, ..Options::default() }, |_| {}).await
}

async fn number(db: &TestDatabase, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&db.pool).await.unwrap()
}

/// Asserts that all is exact, and that everything is still counted: tokens in both rollups, rows raw and sealed.
async fn assert_all_there(db: &TestDatabase, tokens: i64, rows: i64) {
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    for view in ["task_usage_daily_now", "task_usage_quarter_hour_now"] {
        assert_eq!(number(db, &format!("select sum(input_tokens)::bigint from tallybook.{view}")).await, tokens, "{view}");
        assert_eq!(number(db, &format!("select sum(event_count)::bigint from tallybook.{view}")).await, rows, "{view}");
    }
}

const RAW: &str = "select count(*) from public.task_usage";

#[tokio::test]
async fn what_is_old_is_sealed_day_by_day_and_a_second_run_finds_nothing() {
    for batch_rows in [1, 2, 1_000] {
        let db = world().await;
        let planned = plan(&db.pool, keep_from(&db, Some(date(2026, 2, 3)), None).await).await.unwrap();
        assert_eq!(planned.seal_before, Some(date(2026, 2, 3)));
        let days: Vec<_> = planned.seal.iter().map(|planned| (planned.day, planned.rows)).collect();
        assert_eq!(days, [(date(2026, 1, 2), 1), (date(2026, 2, 1), 3), (date(2026, 2, 2), 3)]);
        let report = retain(&db, Some(date(2026, 2, 3)), None, batch_rows).await.unwrap();
        let sealed: Vec<_> = report.sealed.iter().map(|done| (done.day, done.rows, done.rows_left)).collect();
        assert_eq!(sealed, [(date(2026, 1, 2), 1, 0), (date(2026, 2, 1), 3, 0), (date(2026, 2, 2), 3, 0)]);
        assert_eq!(number(&db, RAW).await, 9);
        let noted =
            "select sum((details->>'rows')::bigint)::bigint from tallybook.audit_log where action = 'usage.seal' and via = 'cli'";
        assert_eq!(number(&db, noted).await, 7, "each batch is in the audit log");
        assert_all_there(&db, 40, 16).await;
        assert_eq!(retain(&db, Some(date(2026, 2, 3)), None, batch_rows).await.unwrap(), Report::default());
    }
}

#[tokio::test]
async fn the_rollups_are_not_touched_by_what_is_sealed() {
    let db = world().await;
    let listing = "select md5(string_agg(r::text || ctid::text, ' ' order by r::text)) from tallybook.task_usage_quarter_hour r";
    let before: String = sqlx::query_scalar(listing).fetch_one(&db.pool).await.unwrap();
    retain(&db, Some(date(2026, 2, 6)), None, 1_000).await.unwrap();
    assert_eq!(number(&db, RAW).await, 0);
    assert!(!sqlx::query_scalar::<_, bool>("select tallybook.is_pending()").fetch_one(&db.pool).await.unwrap());
    assert_eq!(sqlx::query_scalar::<_, String>(listing).fetch_one(&db.pool).await.unwrap(), before, "nothing in sum");
}

#[tokio::test]
async fn a_day_that_differs_is_left_alone_and_named_until_it_is_repaired() {
    let db = world().await;
    db.pool.execute("update tallybook.task_usage_daily set input_tokens = 99 where bucket_date = '2026-02-02'").await.unwrap();
    let report = retain(&db, Some(date(2026, 2, 4)), None, 1_000).await.unwrap();
    assert_eq!(report.differing, [Differing { day: date(2026, 2, 2), rollups: vec!["task_usage_daily".to_owned()] }]);
    assert_eq!(number(&db, "select count(*) from public.task_usage where created_at < '2026-02-04'").await, 3);
    // Not even by hand.
    let refused = db.pool.execute("select tallybook.seal('2026-02-01', '2026-02-03', null, 10)").await.unwrap_err();
    assert!(refused.to_string().contains("task_usage_daily differs"), "{refused}");
    repair::repair(&db.pool).await.unwrap();
    assert_eq!(retain(&db, Some(date(2026, 2, 4)), None, 1_000).await.unwrap().rows_sealed(), 3);
    assert_all_there(&db, 40, 16).await;
}

#[tokio::test]
async fn days_that_a_rollup_does_not_cover_stay_raw() {
    let db = world().await;
    db.pool.execute("select tallybook.create_rollup('third', '1 hour', array['agent_id', 'model'])").await.unwrap();
    let refused = retain(&db, Some(date(2026, 2, 6)), None, 1_000).await.unwrap_err();
    assert!(refused.to_string().contains("the rollup third does not cover"), "{refused}");
    assert!(db.pool.execute("select tallybook.seal('2026-02-01', '2026-02-02', null, 10)").await.is_err());
    assert_eq!(number(&db, RAW).await, 16);
    backfill::run(&db.pool, 10, |_| {}).await.unwrap();
    retain(&db, Some(date(2026, 2, 4)), None, 1_000).await.unwrap();
    // One that is declared when most is sealed is covered from what is sealed, slice by slice.
    db.pool.execute("select tallybook.create_rollup('fourth', '30 minutes', array['project_id', 'provider'])").await.unwrap();
    assert_eq!(backfill::run(&db.pool, 1, |_| {}).await.unwrap().slices, 5);
    assert_eq!(number(&db, "select sum(input_tokens)::bigint from tallybook.fourth_now").await, 40);
    assert_all_there(&db, 40, 16).await;
}

#[tokio::test]
async fn nothing_is_sealed_while_changes_are_not_captured() {
    let db = world().await;
    for table in ["public.task_usage", "tallybook.sealed_usage"] {
        let alter = |what: &str| format!("alter table {table} {what} trigger tallybook_insert");
        db.pool.execute(AssertSqlSafe(alter("disable"))).await.unwrap();
        let refused = retain(&db, Some(date(2026, 2, 6)), None, 1_000).await.unwrap_err();
        assert!(refused.to_string().contains("capture is not intact"), "{refused}");
        assert!(db.pool.execute("select tallybook.seal('2026-02-01', '2026-02-02', null, 10)").await.is_err());
        db.pool.execute(AssertSqlSafe(alter("enable"))).await.unwrap();
    }
    assert_eq!(number(&db, RAW).await, 16);
}

#[tokio::test]
async fn only_whole_days_that_are_over_are_sealed_in_a_transaction_that_sees_all() {
    let db = world().await;
    for (sql, code) in [
        ("select tallybook.seal('2026-02-01 01:00', '2026-02-02', null, 10)", "22023"),
        ("select tallybook.seal('2026-02-01', null, null, 10)", "22023"),
        ("select tallybook.seal('2026-02-01', 'infinity', null, 10)", "22023"),
        ("select tallybook.thin('2026-02-01', date_trunc('day', now(), 'UTC') + interval '24 hours')", "22023"),
        ("begin isolation level repeatable read; select tallybook.seal('2026-02-01', '2026-02-02', null, 10)", "25001"),
        ("select tallybook.purge_sealed('task', gen_random_uuid())", "22023"),
        ("truncate tallybook.sealed_usage", "0A000"),
    ] {
        let mut conn = db.connect().await;
        let error = conn.execute(sqlx::raw_sql(sql)).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), code, "{sql}: {error}");
    }
}

#[tokio::test]
async fn what_belongs_to_nobody_or_is_being_written_stays_and_stops_nothing() {
    let db = world().await;
    db.pool
        .execute(
            "alter table public.task_usage drop constraint task_usage_task_id_fkey;
             insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
             select gen_random_uuid(), 'p', 'm', '', 7, '2026-02-01 00:00:00+00' from generate_series(1, 20)",
        )
        .await
        .unwrap();
    let mut writer = db.connect().await;
    let mut tx = writer.begin().await.unwrap();
    tx.execute("update public.task_usage set output_tokens = 1 where event_key = '0 2'").await.unwrap();
    // Smaller than what is stuck at one time.
    let report = retain(&db, Some(date(2026, 2, 3)), None, 3).await.unwrap();
    assert_eq!((report.rows_sealed(), report.rows_left()), (6, 21));
    tx.commit().await.unwrap();
    assert_eq!(retain(&db, Some(date(2026, 2, 3)), None, 3).await.unwrap().rows_sealed(), 1);
    assert_all_there(&db, 40, 16).await;
}

#[tokio::test]
async fn times_at_the_ends_and_rows_without_one_are_sealed_on_their_days() {
    let db = world().await;
    db.pool
        .execute(
            "alter table public.task_usage alter created_at drop not null;
             insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
             select '00000000-0000-4000-8000-000000000004', 'p', 'm', n::text, 1, at
             from unnest(array['-infinity', '4000-01-01 BC', '0001-01-01 23:59:59.999999+00', '0001-01-02 00:00+00', null, null, 'infinity']::timestamptz[])
               with ordinality as t (at, n)",
        )
        .await
        .unwrap();
    for batch_rows in [2, 1_000] {
        let report = retain(&db, Some(date(2026, 1, 1)), None, batch_rows).await.unwrap();
        let sealed: Vec<_> = report.sealed.iter().map(|done| (done.day, done.rows, done.rows_left)).collect();
        let expected = [(date(1, 1, 1), 5, 0), (date(1, 1, 2), 1, 0)];
        assert_eq!(sealed, if batch_rows == 2 { &expected[..] } else { &[] });
    }
    assert_eq!(number(&db, "select count(*) from public.task_usage where created_at = 'infinity'").await, 1);
    assert_all_there(&db, 47, 23).await;
}

#[tokio::test]
async fn a_run_that_is_cut_off_anywhere_loses_nothing_and_the_next_one_goes_on() {
    let db = world().await;
    for _ in 0..30 {
        let plan = plan(&db.pool, keep_from(&db, Some(date(2026, 2, 6)), Some(date(2026, 2, 6))).await).await.unwrap();
        let mut left = 2_u32;
        // Dropped at the end of its second transaction, with the next one under way.
        let (cut, was_cut) = tokio::sync::oneshot::channel::<()>();
        let mut cut = Some(cut);
        let options = Options { batch_rows: 1, ..Options::default() };
        let by = Actor::cli();
        tokio::select! {
            done = run(&db.pool, &by, &plan, options, |event| if matches!(event, Event::Sealed(_)) {
                left = left.saturating_sub(1);
                if left == 0 { drop(cut.take()) }
            }) => drop(done.unwrap()),
            _ = was_cut => {}
        }
        assert_all_there(&db, 40, 16).await;
    }
    assert_eq!(number(&db, RAW).await, 0);
    assert_eq!(number(&db, "select count(*) from tallybook.sealed_identity").await, 16);
}

#[tokio::test]
async fn old_quarter_hours_become_days_that_keep_agent_and_project() {
    let db = world().await;
    db.pool
        .execute(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, cost_usd_ticks, created_at)
             select '00000000-0000-4000-8000-000000000004', 'anthropic', 'opus', 'q' || n, 100, n, '2026-02-01 00:20+00'::timestamptz + n * interval '15 minutes'
             from generate_series(1, 20) n",
        )
        .await
        .unwrap();
    let by_key = "select string_agg(x::text, ' ' order by x::text) from (
        select (bucket_start at time zone 'UTC')::date, workspace_id, runtime_id, agent_id, project_id, provider, model, sum(input_tokens), sum(cost_usd_ticks),
          sum(uncosted_input_tokens), sum(event_count) from tallybook.task_usage_quarter_hour_now group by 1, 2, 3, 4, 5, 6, 7) x";
    let before: String = sqlx::query_scalar(by_key).fetch_one(&db.pool).await.unwrap();
    let report = retain(&db, Some(date(2026, 2, 6)), Some(date(2026, 2, 3)), 1_000).await.unwrap();
    let thinned: Vec<_> = report.thinned.iter().map(|done| (done.day, done.rows_before, done.rows_after)).collect();
    assert_eq!(thinned, [(date(2026, 1, 2), 1, 1), (date(2026, 2, 1), 21, 1), (date(2026, 2, 2), 1, 1)]);
    assert_eq!(sqlx::query_scalar::<_, String>(by_key).fetch_one(&db.pool).await.unwrap(), before);
    assert_all_there(&db, 2_040, 36).await;
    let instant = |function: &str| {
        format!(
            "select extract(epoch from tallybook.{function}())::bigint - extract(epoch from '2026-02-01'::timestamptz)::bigint"
        )
    };
    assert_eq!(number(&db, &instant("quarter_hours_exact_from")).await, 2 * 86_400);
    assert_eq!(number(&db, &instant("tasks_complete_from")).await, 5 * 86_400);
    // A late report is known by its quarter hour until the day is thinned again, into the same row.
    let late = "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
        values ('00000000-0000-4000-8000-000000000004', 'anthropic', 'opus', 'late', 1, '2026-02-01 17:00+00')";
    db.pool.execute(late).await.unwrap();
    assert_all_there(&db, 2_041, 37).await;
    let report = retain(&db, Some(date(2026, 2, 6)), Some(date(2026, 2, 3)), 1_000).await.unwrap();
    assert_eq!(report.thinned, [ThinnedDay { day: date(2026, 2, 1), rows_before: 2, rows_after: 1 }]);
    assert_all_there(&db, 2_041, 37).await;
}

#[tokio::test]
async fn later_moves_change_nothing_of_what_is_sealed() {
    let db = world().await;
    retain(&db, Some(date(2026, 2, 3)), None, 1_000).await.unwrap();
    db.pool
        .execute(
            "insert into public.workspace (id, name, slug) values ('00000000-0000-4000-8000-000000000009', 'two', 'two');
             update public.agent set workspace_id = '00000000-0000-4000-8000-000000000009';
             update public.agent_task_queue set runtime_id = null",
        )
        .await
        .unwrap();
    let of_old = "select sum(input_tokens)::bigint from tallybook.task_usage_daily_now
        where workspace_id = '00000000-0000-4000-8000-000000000001' and runtime_id = '00000000-0000-4000-8000-000000000002'";
    assert_eq!(number(&db, of_old).await, 22);
    assert_all_there(&db, 40, 16).await;
    fold::drain(&db.pool).await.unwrap();
    assert_eq!(number(&db, of_old).await, 22);
    assert_all_there(&db, 40, 16).await;
}

/// Usage in partitions by month, captured by row.
async fn partitioned_world() -> TestDatabase {
    let db = world().await;
    db.pool
        .execute(
            "alter table public.task_usage rename to whole;
             create table public.task_usage (like public.whole including defaults) partition by range (created_at);
             create table public.usage_2026_01 partition of public.task_usage for values from ('2026-01-01 00:00+00') to ('2026-02-01 00:00+00');
             create table public.usage_2026_02 partition of public.task_usage for values from ('2026-02-01 00:00+00') to ('2026-03-01 00:00+00');
             create table public.usage_later partition of public.task_usage default;
             create index on public.task_usage (task_id); create index on public.task_usage (created_at);
             create trigger tallybook_truncate before truncate on public.task_usage for each statement execute function tallybook.refuse_truncate();
             select tallybook.capture_usage_by('row');
             insert into public.task_usage select * from public.whole",
        )
        .await
        .unwrap();
    db.pool.execute("select tallybook.rebuild('-infinity', 'infinity')").await.unwrap();
    db
}

#[tokio::test]
async fn partitions_that_are_old_and_wholly_sealed_are_detached() {
    let db = partitioned_world().await;
    assert_all_there(&db, 40, 16).await;
    let mut reader = db.connect().await;
    let mut old = reader.begin_with("begin isolation level repeatable read").await.unwrap();
    let before: i64 = sqlx::query_scalar("select count(*) from pg_class").fetch_one(&mut *old).await.unwrap();
    assert!(before > 0);
    let report = retain(&db, Some(date(2026, 2, 3)), None, 2).await.unwrap();
    assert_eq!(report.detached, ["usage_2026_01"]);
    assert_all_there(&db, 40, 16).await;
    // A snapshot that is older would miss the rows of the partition: it is told to try again.
    let error =
        sqlx::query("select sum(input_tokens) from tallybook.task_usage_daily_now").fetch_one(&mut *old).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "40001", "{error}");
    old.rollback().await.unwrap();
    // Late reports of the month go where the host's other partitions take them.
    let late = "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
        values ('00000000-0000-4000-8000-000000000004', 'p', 'm', 'late', 1, '2026-01-15')";
    db.pool.execute(late).await.unwrap();
    assert_all_there(&db, 41, 17).await;
    let report = retain(&db, Some(date(2026, 3, 1)), None, 2).await.unwrap();
    assert_eq!((report.detached, report.sealed.len()), (vec!["usage_2026_02".to_owned()], 4));
    assert_all_there(&db, 41, 17).await;
}

#[tokio::test]
async fn a_partition_with_anything_left_in_it_stays() {
    let db = partitioned_world().await;
    let mut writer = db.connect().await;
    let mut tx = writer.begin().await.unwrap();
    tx.execute("update public.task_usage set output_tokens = 1 where created_at < '2026-02-01'").await.unwrap();
    let held = retain(&db, Some(date(2026, 2, 1)), None, 10).await.unwrap();
    assert_eq!((held.rows_left(), held.detached.len()), (1, 0));
    tx.rollback().await.unwrap();
    // A late report that is not committed when the rest has been sealed.
    let mut tx = writer.begin().await.unwrap();
    let late = "insert into public.task_usage
        select (jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid(), 'event_key', 'late', 'input_tokens', 0))).*
        from public.task_usage u where created_at < '2026-02-01' limit 1";
    tx.execute(late).await.unwrap();
    let plan = plan(&db.pool, keep_from(&db, Some(date(2026, 2, 1)), None).await).await.unwrap();
    let by = Actor::cli();
    let (left, committed) = tokio::join!(run(&db.pool, &by, &plan, Options::default(), |_| {}), async {
        // The lock on the table is tried again until the writer is through.
        let waiting = "select exists (select from pg_locks where not granted and mode = 'AccessExclusiveLock'
            and database = (select oid from pg_database where datname = current_database()))";
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&db.pool).await.unwrap() {
            tokio::task::yield_now().await;
        }
        tx.commit().await
    });
    committed.unwrap();
    assert_eq!(left.unwrap().detached.len(), 0);
    assert_all_there(&db, 40, 17).await;
    assert_eq!(retain(&db, Some(date(2026, 2, 1)), None, 10).await.unwrap().detached, ["usage_2026_01"]);
    assert_all_there(&db, 40, 17).await;
}

#[tokio::test]
async fn whoever_refers_to_usage_is_told_before_anything_is_sealed() {
    for (on_delete, kind, says) in [
        ("", OnDelete::Refuse, "does not let them go"),
        ("on delete restrict", OnDelete::Refuse, "does not let them go"),
        ("on delete cascade", OnDelete::Cascade, "would delete them, too: say --follow-foreign-keys"),
        ("on delete set null", OnDelete::SetNull, "would take the reference out of them: say --follow-foreign-keys"),
        ("on delete set default", OnDelete::SetDefault, "would take the reference out of them: say --follow-foreign-keys"),
    ] {
        let db = world().await;
        let note = format!(
            "create table public.note (usage_id uuid references public.task_usage (id) {on_delete});
             insert into public.note select id from public.task_usage where created_at < '2026-02-05'"
        );
        db.pool.execute(AssertSqlSafe(note)).await.unwrap();
        let refused = retain(&db, Some(date(2026, 2, 3)), None, 1_000).await.unwrap_err();
        let Error::Referred(keys) = &refused else { panic!("{refused}") };
        let (table, constraint) = ("public.note".to_owned(), "note_usage_id_fkey".to_owned());
        assert_eq!(keys, &[Reference { table, constraint, on_delete: kind, is_source: false, rows: Some(7) }]);
        let told = refused.to_string();
        assert!(told.contains("7 rows of public.note by note_usage_id_fkey") && told.contains(says), "{told}");
        assert_eq!((number(&db, RAW).await, number(&db, "select count(*) from public.note").await), (16, 13));
        // Said to be meant, a key does what it does; one that refuses goes on doing so until nobody refers to what is old.
        let plan = plan(&db.pool, keep_from(&db, Some(date(2026, 2, 3)), None).await).await.unwrap();
        let options = Options { follow_foreign_keys: true, ..Options::default() };
        let followed = run(&db.pool, &Actor::cli(), &plan, options, |_| {}).await;
        if kind == OnDelete::Refuse {
            assert!(matches!(followed, Err(Error::Referred(_))), "{followed:?}");
            db.pool
                .execute(
                    "delete from public.note n using public.task_usage u where u.id = n.usage_id and u.created_at < '2026-02-03'",
                )
                .await
                .unwrap();
            assert_eq!(retain(&db, Some(date(2026, 2, 3)), None, 1_000).await.unwrap().rows_sealed(), 7);
        } else {
            assert_eq!(followed.unwrap().rows_sealed(), 7);
        }
        assert_eq!(number(&db, RAW).await, 9);
        assert_eq!(
            number(&db, "select count(*) from public.note where usage_id is not null").await,
            6,
            "those of later usage stay"
        );
        assert_all_there(&db, 40, 16).await;
    }
}

#[tokio::test]
async fn usage_that_goes_with_other_usage_is_never_sealed() {
    let db = world().await;
    db.pool
        .execute(
            "alter table public.task_usage add corrects uuid references public.task_usage (id) on delete cascade;
             update public.task_usage set corrects = (select id from public.task_usage where created_at < '2026-02-01') where created_at > '2026-02-05'",
        )
        .await
        .unwrap();
    let plan = plan(&db.pool, keep_from(&db, Some(date(2026, 2, 3)), None).await).await.unwrap();
    let options = Options { follow_foreign_keys: true, ..Options::default() };
    let refused = run(&db.pool, &Actor::cli(), &plan, options, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("which would change what is counted"), "{refused}");
    // A reference that is taken out changes nothing that counts.
    db.pool
        .execute(
            "alter table public.task_usage drop constraint task_usage_corrects_fkey,
               add foreign key (corrects) references public.task_usage (id) on delete set null",
        )
        .await
        .unwrap();
    assert!(matches!(retain(&db, Some(date(2026, 2, 3)), None, 1_000).await, Err(Error::Referred(_))));
    let plan = super::plan(&db.pool, keep_from(&db, Some(date(2026, 2, 3)), None).await).await.unwrap();
    assert_eq!(run(&db.pool, &Actor::cli(), &plan, options, |_| {}).await.unwrap().rows_sealed(), 7);
    assert_all_there(&db, 40, 16).await;
}

#[tokio::test]
async fn who_refers_to_usage_only_then_stops_the_run_and_nothing_is_lost() {
    let db = world().await;
    let plan = plan(&db.pool, keep_from(&db, Some(date(2026, 2, 3)), None).await).await.unwrap();
    db.pool
        .execute(
            "create table public.note (usage_id uuid references public.task_usage (id));
             insert into public.note select id from public.task_usage where created_at >= '2026-02-02' and created_at < '2026-02-03'",
        )
        .await
        .unwrap();
    let stopped = run(&db.pool, &Actor::cli(), &plan, Options::default(), |_| {}).await.unwrap_err();
    let told = stopped.to_string();
    assert!(matches!(stopped, Error::KeptByKey(_)) && told.contains("note_usage_id_fkey"), "{told}");
    assert_eq!(number(&db, RAW).await, 12, "the days before are sealed");
    assert_all_there(&db, 40, 16).await;
}

#[tokio::test]
async fn a_partition_that_is_in_use_all_the_time_is_left_to_a_later_run() {
    let db = partitioned_world().await;
    let mut reader = db.connect().await;
    let mut tx = reader.begin().await.unwrap();
    tx.execute("select count(*) from public.task_usage").await.unwrap();
    let report = retain(&db, Some(date(2026, 2, 1)), None, 10).await.unwrap();
    assert_eq!((report.rows_sealed(), report.detached.len()), (1, 0));
    tx.commit().await.unwrap();
    assert_eq!(retain(&db, Some(date(2026, 2, 1)), None, 10).await.unwrap().detached, ["usage_2026_01"]);
    assert_all_there(&db, 40, 16).await;
}

#[tokio::test]
async fn raw_rows_from_a_backup_take_the_place_of_what_is_sealed() {
    let db = world().await;
    db.pool
        .execute("create table public.saved as select * from public.task_usage where created_at < '2026-02-03'")
        .await
        .unwrap();
    retain(&db, Some(date(2026, 2, 3)), None, 1_000).await.unwrap();
    let back = include_str!("../../docs/RETENTION.md").split("```sql\n").find(|text| text.starts_with("begin;")).unwrap();
    let back = back.split("```").next().unwrap();
    db.pool.execute(sqlx::raw_sql(AssertSqlSafe(back.to_owned()))).await.unwrap();
    assert_eq!((number(&db, RAW).await, number(&db, "select count(*) from tallybook.sealed_identity").await), (16, 0));
    assert_all_there(&db, 40, 16).await;
}
