//! Rows that no one should write, and which stop nobody.
use super::{FOLD, assert_no_ghosts, folded_world, run, text};
use crate::races::session::{Session, code_of};
use crate::races::world::{CAPTURES, Capture};

#[tokio::test]
async fn r22_huge_counts_stop_nobody_and_negative_ones_are_refused() {
    for capture in CAPTURES {
        let (db, mut conn) = folded_world(capture).await;
        let mut hostile = Session::open(&db, "hostile").await;
        let negative = "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'p', 'm', -1)";
        hostile.fails(negative, "23514").await;
        run(
            &mut conn,
            "insert into task_usage (task_id, provider, model, event_key, input_tokens, output_tokens, cost_usd_ticks)
             select the('task 1'), 'p', 'm', n::text, 9223372036854775807, 9223372036854775807, 9223372036854775807 from generate_series(1, 5) n",
        )
        .await;
        assert_no_ghosts(&mut conn, "huge counts").await;
        let sum = "select input_tokens from tallybook.task_usage_daily where provider = 'p'";
        assert_eq!(text(&mut conn, sum).await, "46116860184273879035");
        // a table without our checks
        run(&mut conn, "alter table task_usage drop constraint task_usage_input_tokens_check").await;
        hostile.finishes(&negative.replace("-1)", "-9223372036854775808)")).await;
        run(&mut conn, "update task_usage set cache_read_tokens = 1 where input_tokens = -9223372036854775808").await;
        run(&mut conn, "update task_usage set input_tokens = -input_tokens where provider = 'p' and input_tokens > 0").await;
        assert_no_ghosts(&mut conn, "negative counts").await;
        run(&mut conn, "delete from task_usage where provider = 'p'").await;
        assert_no_ghosts(&mut conn, "the hostile rows went").await;
    }
}

#[tokio::test]
async fn r40_no_name_and_no_time_stops_anybody() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        run(&mut conn, "alter table task_usage alter provider drop not null, alter model drop not null, alter created_at drop not null, alter input_tokens drop not null,
                drop constraint task_usage_task_id_provider_model_event_key_key").await;
        for (provider, model, time) in [
            (
                "(select string_agg(md5(n::text), '') from generate_series(1, 200) n)",
                "(select string_agg(md5(n::text), '') from generate_series(1, 300) n)",
                "now()",
            ),
            ("''", "repeat('é', 129)", "'infinity'"),
            ("'ÀÉ'", "'ı'", "'-infinity'"),
            ("null", "null", "null"),
            ("'İ'", "'I'", "'4000-01-01 BC'"),
            ("'x'", "E'\\u0065\\u0301'", "'294276-12-31 23:59:59+00'"),
            ("'X'", "E'\\u00e9'", "'9999-12-31 23:59:59+00'"),
            ("'{}'", "'%s $1 {} ''quoted'' \\'", "'0001-01-01 00:00:00+00'"),
        ] {
            let row = format!("the('task 2'), {provider}, {model}, {time}::timestamptz");
            run(
                &mut conn,
                &format!("insert into task_usage (task_id, provider, model, created_at, input_tokens) select {row}, null"),
            )
            .await;
            run(&mut conn, &format!("insert into task_usage (task_id, provider, model, created_at, event_key, input_tokens) select {row}, 'second', 5")).await;
            assert_shown_folded(&mut conn, &row).await;
        }
        run(&mut conn, "select tallybook.rebuild('-infinity', 'infinity')").await;
        assert_shown_folded(&mut conn, "a rebuild").await;
        run(&mut conn, "update task_usage set created_at = '2026-01-02', input_tokens = 1 where task_id = the('task 2')").await;
        assert_no_ghosts_by_verify(&mut conn, "all became ordinary").await;
        run(&mut conn, "delete from task_usage").await;
        run(&mut conn, FOLD).await;
        assert_eq!(text(&mut conn, "select count(*) from tallybook.task_usage_daily").await, "0");
    }
}

#[tokio::test]
async fn r40_keys_and_measures_have_bounds() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    for (value, expected) in [
        ("tallybook.bucket('2026-01-01 12:29:59+00')", "2026-01-01 12:15:00+00"),
        ("tallybook.bucket(null)", "0001-01-01 00:00:00+00"),
        ("tallybook.bucket('-infinity')", "0001-01-01 00:00:00+00"),
        ("tallybook.bucket('infinity')", "9999-12-31 23:45:00+00"),
        ("tallybook.name_key(null) || tallybook.provider_key(null)", ""),
        ("octet_length(tallybook.name_key(repeat('é', 128) collate \"C\"))", "256"),
        ("octet_length(tallybook.name_key(repeat('é', 129) collate \"C\")) <= 256", "true"),
        (
            "tallybook.name_key(repeat('m', 300) || 'a' collate \"C\") <> tallybook.name_key(repeat('m', 300) || 'b' collate \"C\")",
            "true",
        ),
        ("tallybook.provider_key('ÀB' collate \"C\")", "Àb"),
        (
            "tallybook.finite('NaN') + tallybook.finite('Infinity') + tallybook.finite('-Infinity') + tallybook.finite(null) + tallybook.finite(2)",
            "2",
        ),
    ] {
        assert_eq!(text(&mut conn, value).await, expected, "{value}");
    }
}

/// Before and after a fold, as verify sees it: sums written by hand would have to know of every bound.
async fn assert_shown_folded(conn: &mut sqlx::PgConnection, after: &str) {
    assert_no_ghosts_by_verify(conn, after).await;
    run(conn, FOLD).await;
    assert_no_ghosts_by_verify(conn, after).await;
}

async fn assert_no_ghosts_by_verify(conn: &mut sqlx::PgConnection, after: &str) {
    let report = tallybook::rollup::verify::verify_in(&mut conn.into()).await.unwrap();
    assert!(report.exact(), "after {after}: {report:#?}");
    let counts = text(
        conn,
        "select (select sum(event_count) from tallybook.task_usage_daily_now) || ' ' || (select count(*) from task_usage)",
    )
    .await;
    let (shown, raw) = counts.split_once(' ').unwrap();
    assert_eq!(shown, raw, "rows shown and rows there, after {after}");
}

#[tokio::test]
async fn r40_a_wrong_call_is_told_what_is_wrong() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    for (sql, code) in [
        ("select tallybook.capture_usage_by('magic')", "22023"),
        ("select tallybook.capture_usage_by(null)", "22023"),
        ("select tallybook.backfill_slice(0)", "22023"),
        ("select tallybook.rebuild(null, now())", "22004"),
        ("select tallybook.verify('nothing', '-infinity', 'infinity', 1)", "42P01"),
        ("select tallybook.drop_rollup('nothing')", "42P01"),
    ] {
        let error = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap_err();
        assert_eq!(code_of(&error), code, "{sql}: {error}");
    }
}
