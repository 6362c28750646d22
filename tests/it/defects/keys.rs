//! Which key a row belongs to, and that nothing stays at one that it has left.
use super::{FOLD, assert_no_ghosts, folded_world, run, text};
use crate::races::world::{CAPTURES, Capture, assert_exact, fold_exactly, redeclare};

#[tokio::test]
async fn r07_no_session_setting_puts_a_row_into_two_days() {
    let zones = ["Asia/Kolkata", "America/New_York", "Pacific/Kiritimati", "UTC"];
    let styles = ["ISO", "Postgres, DMY", "SQL, MDY", "German"];
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        for turn in 0..zones.len() {
            for step in [
                "insert into task_usage (task_id, provider, model, input_tokens, created_at)
                 values (the('task 1'), 'p', 'm', 5, '2026-01-02 22:10:00+00'), (the('task 2'), 'p', 'm', 5, '2026-01-01 19:40:00+00')",
                FOLD,
                "select tallybook.rebuild('2026-01-02 00:00:00+00', '2026-01-03 00:00:00+00')",
                "delete from task_usage where provider = 'p'",
                FOLD,
            ] {
                run(&mut conn, &format!("set timezone = '{}'; set datestyle = '{}'", zones[turn], styles[turn])).await;
                run(&mut conn, step).await;
                let of_a_day = "select keys || ' ' || drifted_keys
                    from tallybook.verify('task_usage_daily', '2026-01-02 00:00:00+00', '2026-01-03 00:00:00+00', 5)";
                let here = text(&mut conn, of_a_day).await;
                run(&mut conn, "set timezone = 'UTC'; set datestyle = 'ISO'").await;
                assert_eq!(here, text(&mut conn, of_a_day).await, "the keys of one day in {}", zones[turn]);
                assert_exact(&mut conn, step).await;
            }
        }
    }
}

#[tokio::test]
async fn r07_backfill_covers_the_same_days_in_every_session() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    redeclare(&mut conn).await;
    run(&mut conn, "set timezone = 'Asia/Kolkata'; set datestyle = 'Postgres, DMY'; select tallybook.backfill_slice(1)").await;
    assert_exact(&mut conn, "a slice in India").await;
    run(&mut conn, "set timezone = 'America/St_Johns'; set intervalstyle = 'sql_standard'; select tallybook.backfill_slice(1)")
        .await;
    run(&mut conn, "select tallybook.backfill_slice(1000)").await;
    fold_exactly(&mut conn, "slices in several zones").await;
}

#[tokio::test]
async fn r08_correcting_any_column_moves_the_numbers() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        run(&mut conn, "update task_usage set event_key = id::text").await;
        for set in [
            "provider = 'openai'",
            "model = 'haiku'",
            "created_at = created_at - interval '2 days'",
            "task_id = the('task 2')",
            "event_key = event_key || 'x'",
            "input_tokens = 11, output_tokens = 12",
            "cache_read_tokens = 13, cache_write_tokens = 14, cache_write_1h_tokens = 15",
            "cost_usd_ticks = 16",
            "cost_usd_ticks = cost_usd_ticks + 1",
            "cost_usd_ticks = null",
            "cost_usd_ticks = 0",
            "id = gen_random_uuid()",
            "provider = upper(provider)",
            "sequence = 4, updated_at = now()",
        ] {
            run(&mut conn, &format!("update task_usage set {set} where model <> 'sonnet' and task_id in (the('task 1'), the('task 2')) and cost_usd_ticks is distinct from 5")).await;
            assert_exact(&mut conn, set).await;
            // the other half after a fold
            run(&mut conn, FOLD).await;
            run(
                &mut conn,
                &format!(
                    "update task_usage set {set} where id = (select id from task_usage where task_id = the('task 3') limit 1)"
                ),
            )
            .await;
            assert_no_ghosts(&mut conn, set).await;
        }
    }
}

#[tokio::test]
async fn r09_a_report_with_its_own_time_leaves_the_first_ones_day() {
    let (_db, mut conn) = folded_world(Capture::ByRow).await;
    run(
        &mut conn,
        "insert into task_usage (task_id, provider, model, input_tokens, created_at) values (the('task 2'), 'claude', 'opus', 90, '2026-01-04 00:00:00+00')
         on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens, created_at = excluded.created_at",
    )
    .await;
    let days =
        "select string_agg(bucket_date || ' ' || input_tokens, ', ' order by bucket_date) from tallybook.task_usage_daily_now
        where workspace_id = the('workspace 2')";
    assert_eq!(text(&mut conn, days).await, "2026-01-04 90");
    assert_no_ghosts(&mut conn, "a report two days later").await;
}

#[tokio::test]
async fn r13_usage_is_its_agents_workspaces_everywhere() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(&mut conn, "update agent_task_queue set issue_id = the('issue 1') where id = the('task 2')").await;
    let workspaces = "select string_agg(distinct workspace_id::text, ' ') = the('workspace 2')::text from tallybook.task_usage_quarter_hour_now
        where agent_id = the('agent 2')";
    assert_eq!(text(&mut conn, workspaces).await, "true");
    assert_exact(&mut conn, "an issue of another workspace").await;
    run(&mut conn, "update issue set workspace_id = the('workspace 2')").await;
    assert_eq!(text(&mut conn, workspaces).await, "true");
    run(&mut conn, "delete from workspace where id = the('workspace 2')").await;
    assert_no_ghosts(&mut conn, "the issue's workspace was deleted").await;
}

#[tokio::test]
async fn r14_a_task_without_an_issue_counts() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    let tokens = "select sum(input_tokens) from tallybook.task_usage_quarter_hour_now where project_id is null and agent_id = the('agent 2')";
    assert_eq!(text(&mut conn, tokens).await, "80");
    assert_exact(&mut conn, "a task without an issue").await;
}

#[tokio::test]
async fn r15_spend_stays_when_its_runtime_goes() {
    let (_db, mut conn) = folded_world(Capture::ByRow).await;
    let total = "select sum(input_tokens) from tallybook.task_usage_daily_now where workspace_id = the('workspace 1')";
    let before = text(&mut conn, total).await;
    run(&mut conn, "delete from agent_runtime where id = the('runtime 1')").await;
    assert_eq!(text(&mut conn, total).await, before);
    let unattributed = "select sum(input_tokens) from tallybook.task_usage_daily_now where workspace_id = the('workspace 1') and runtime_id is null";
    assert_eq!(text(&mut conn, unattributed).await, "70");
    assert_no_ghosts(&mut conn, "a runtime was deleted").await;
    run(&mut conn, "update task_usage set input_tokens = input_tokens + 1").await;
    let repeated = "select count(*) - count(distinct (bucket_date, workspace_id, runtime_id, provider, model)) from tallybook.task_usage_daily_now";
    assert_eq!(text(&mut conn, repeated).await, "0", "a key has one row");
    assert_no_ghosts(&mut conn, "usage without a runtime was corrected").await;
}

#[tokio::test]
async fn r16_providers_that_differ_in_case_are_one() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    let keys = "select string_agg(provider || ' ' || input_tokens, ', ') from tallybook.task_usage_daily_now
        where runtime_id = the('runtime 1') and model = 'opus'";
    assert_eq!(text(&mut conn, keys).await, "claude 30");
}

#[tokio::test]
async fn r30_both_rollups_and_raw_say_the_same() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(&mut conn, "update agent_task_queue set runtime_id = the('runtime 3'); delete from task_usage where model = 'sonnet'")
        .await;
    let disagreements = "select count(*) from (
        select bucket_date, workspace_id, runtime_id, provider, model, sum(input_tokens), sum(cost_usd_ticks), sum(uncosted_output_tokens), sum(event_count)
        from tallybook.task_usage_daily_now group by 1, 2, 3, 4, 5
        except
        select (bucket_start at time zone 'UTC')::date, workspace_id, runtime_id, provider, model, sum(input_tokens), sum(cost_usd_ticks),
          sum(uncosted_output_tokens), sum(event_count)
        from tallybook.task_usage_quarter_hour_now group by 1, 2, 3, 4, 5) x";
    assert_eq!(text(&mut conn, disagreements).await, "0");
    fold_exactly(&mut conn, "moves and deletes").await;
    assert_eq!(text(&mut conn, disagreements).await, "0");
}

#[tokio::test]
async fn r45_usage_is_on_the_day_it_happened() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(
        &mut conn,
        "insert into agent_task_queue (id, agent_id, created_at, started_at) values (the('old'), the('agent 1'), '2025-12-30', '2025-12-31');
         insert into task_usage (task_id, provider, model, input_tokens, created_at, updated_at)
         values (the('old'), 'late', 'm', 3, '2026-01-01 12:00:00+00', '2026-01-03 12:00:00+00')",
    )
    .await;
    let day = "select string_agg(bucket_date::text, ' ') from tallybook.task_usage_daily_now where provider = 'late'";
    assert_eq!(text(&mut conn, day).await, "2026-01-01");
    run(&mut conn, FOLD).await;
    assert_eq!(text(&mut conn, day).await, "2026-01-01");
}
