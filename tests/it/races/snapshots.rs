//! Old snapshots: writers whose snapshot is older than a move, movers whose snapshot is older than usage, and readers who keep
//! theirs while the rollups are maintained.
use super::session::{Isolation, Session, Step, code_of};
use super::world::{CAPTURES, Capture, assert_equals_raw, assert_exact, database, fold_exactly, redeclare};
use sqlx::{Executor, PgConnection};

const MOVES: [&str; 4] = [
    "update agent_task_queue set runtime_id = the('runtime 2') where id = the('task 1')",
    "update agent_task_queue set agent_id = the('agent 2'), issue_id = the('issue 2') where id = the('task 1')",
    "update agent set workspace_id = the('workspace 2') where id = the('agent 1')",
    "update issue set project_id = null where id = the('issue 1')",
];
const WRITES: [&str; 3] = [
    "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'claude', 'haiku', 1000)",
    "update task_usage set input_tokens = input_tokens + 1, provider = 'openai', event_key = id::text where task_id = the('task 1')",
    "delete from task_usage where task_id = the('task 1')",
];
const FOLD: &str = "select tallybook.fold(25, 50000)";

/// The first one commits inside the second one's snapshot, with or without a fold in between.
async fn second_has_an_older_snapshot(first: &'static [&'static str], second: &'static [&'static str]) {
    for capture in CAPTURES {
        for isolation in [Isolation::RepeatableRead, Isolation::Serializable] {
            let db = database(capture).await;
            let mut conn = db.connect().await;
            let (mut one, mut two) = (Session::open(&db, "one").await, Session::open(&db, "two").await);
            for (turn, (one_sql, two_sql)) in first.iter().flat_map(|a| second.iter().map(move |b| (a, b))).enumerate() {
                super::world::reset(&mut conn).await;
                let after = format!("{one_sql} | {two_sql} | {isolation:?}");
                two.begin(isolation).await;
                one.finishes(one_sql).await;
                if turn % 2 == 0 {
                    conn.execute(FOLD).await.unwrap();
                }
                match two.step(two_sql).await {
                    Step::Finished(Ok(())) => two.commit().await,
                    Step::Finished(Err(error)) => {
                        assert_eq!(code_of(&error), "40001", "{after}");
                        two.finishes("rollback").await;
                    }
                    Step::Waits => panic!("nobody is there to wait for: {after}"),
                }
                fold_exactly(&mut conn, &after).await;
            }
        }
    }
}

#[tokio::test]
async fn a_writer_whose_snapshot_is_older_than_the_move_writes_to_the_new_key() {
    second_has_an_older_snapshot(&MOVES, &WRITES).await;
}

#[tokio::test]
async fn a_mover_whose_snapshot_is_older_than_the_usage_moves_it_too() {
    second_has_an_older_snapshot(&WRITES, &MOVES).await;
}

const SHOWN: &str = "select coalesce(jsonb_agg(to_jsonb(d) order by to_jsonb(d)), '[]')::text
    from (select to_jsonb(a) as d from tallybook.task_usage_daily_now a union all select to_jsonb(b) from tallybook.task_usage_quarter_hour_now b) d";

/// Reads both now-views and raw in the reader's old snapshot: all as before, or told to try again.
async fn reads_as_before(reader: &mut PgConnection, before: &str, after: &str) {
    match sqlx::query_scalar::<_, String>(SHOWN).fetch_one(&mut *reader).await {
        Ok(now) => {
            assert_eq!(now, before, "after {after}");
            assert_exact(reader, after).await;
        }
        Err(error) => {
            assert_eq!(code_of(&error), "40001", "after {after}: {error}");
            reader.execute("rollback").await.unwrap();
        }
    }
}

/// One reader for each step, and one who holds on through all that follow.
#[tokio::test]
async fn a_reader_keeps_its_numbers_across_all_maintenance() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    redeclare(&mut conn).await;
    let mut readers = Vec::new();
    let steps = [
        FOLD,
        "select tallybook.backfill_slice(1)",
        "delete from task_usage where model = 'sonnet'; update agent set workspace_id = the('workspace 2')",
        "select tallybook.fold(1, 1)",
        "select tallybook.backfill_slice(1000)",
        "select tallybook.settle_views()",
        "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 2'), 'claude', 'opus', 7) on conflict do nothing;
         update agent_task_queue set runtime_id = the('runtime 1')",
        "select tallybook.rebuild('-infinity', 'infinity')",
        FOLD,
        "delete from agent where id = the('agent 1')",
        FOLD,
        "select tallybook.create_rollup('by_agent', '1 hour', array['agent_id', 'model'])",
        "select tallybook.backfill_slice(1000)",
        "select tallybook.settle_views()",
        include_str!("redeclare.sql"),
        "select tallybook.backfill_slice(1000)",
        "select tallybook.settle_views()",
    ];
    for (turn, step) in steps.into_iter().enumerate() {
        for isolation in [Isolation::RepeatableRead, Isolation::Serializable] {
            let mut reader = Session::open(&db, "reader").await;
            reader.begin(isolation).await;
            let before: String =
                sqlx::query_scalar("select count(*)::text from task_usage").fetch_one(reader.conn()).await.unwrap();
            assert_ne!(before, "");
            // some read the view before the step, so that their session has a plan of it; some do not
            let shown: String = if turn % 2 == 0 {
                sqlx::query_scalar(SHOWN).fetch_one(reader.conn()).await.unwrap()
            } else {
                sqlx::query_scalar(SHOWN).fetch_one(&mut conn).await.unwrap()
            };
            readers.push((reader, shown, false));
        }
        // the maintenance session may have to wait for a reader's lock on a view; then it is the reader who goes first
        let mut worker = Session::open(&db, "worker").await;
        if let Step::Waits = worker.step(step).await {
            for (reader, _, gone) in &mut readers {
                reader.conn().execute("rollback").await.unwrap();
                *gone = true;
            }
            worker.resume().await.unwrap();
        } else {
            worker.finishes("select 1").await;
        }
        for (reader, shown, gone) in &mut readers {
            if !*gone {
                reads_as_before(reader.conn(), shown, step).await;
            }
        }
        readers.retain(|(_, _, gone)| !gone);
        assert_equals_raw(&mut conn, step).await;
    }
}

/// A reader that has not touched the view yet holds no lock on it: the view may be changed under its old snapshot.
#[tokio::test]
async fn a_snapshot_older_than_a_declaration_is_told_to_try_again() {
    for (name, step) in [
        ("settled", "select tallybook.backfill_slice(1000); select tallybook.settle_views()"),
        ("declared again", include_str!("redeclare.sql")),
        (
            "declared again and covered",
            concat!(include_str!("redeclare.sql"), "select tallybook.backfill_slice(1000); select tallybook.settle_views()"),
        ),
    ] {
        let db = database(Capture::ByStatement).await;
        let mut conn = db.connect().await;
        redeclare(&mut conn).await;
        if name != "settled" {
            conn.execute("select tallybook.backfill_slice(1000)").await.unwrap();
            conn.execute("select tallybook.settle_views()").await.unwrap();
        }
        conn.execute(FOLD).await.unwrap();
        let shown: String = sqlx::query_scalar(SHOWN).fetch_one(&mut conn).await.unwrap();
        let mut reader = Session::open(&db, "reader").await;
        reader.begin(Isolation::RepeatableRead).await;
        for statement in step.split_inclusive(';') {
            conn.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
        }
        reads_as_before(reader.conn(), &shown, name).await;
    }
}

/// A rollup that an old snapshot cannot see is not an empty one.
#[tokio::test]
async fn a_new_rollup_is_not_empty_to_an_older_snapshot() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    let mut reader = Session::open(&db, "reader").await;
    for cover in ["select 1", "select tallybook.backfill_slice(1000)", "select tallybook.settle_views()"] {
        reader.begin(Isolation::RepeatableRead).await;
        if cover == "select 1" {
            conn.execute("select tallybook.create_rollup('by_agent', '1 hour', array['agent_id', 'model'])").await.unwrap();
        }
        conn.execute(cover).await.unwrap();
        let sum = "select coalesce(sum(input_tokens), 0)::text from tallybook.task_usage_daily_now";
        let expected: String = sqlx::query_scalar(sum).fetch_one(reader.conn()).await.unwrap();
        match sqlx::query_scalar::<_, String>("select coalesce(sum(input_tokens), 0)::text from tallybook.by_agent_now")
            .fetch_one(reader.conn())
            .await
        {
            Ok(shown) => assert_eq!(shown, expected, "{cover}"),
            Err(error) => assert_eq!(code_of(&error), "40001", "{cover}: {error}"),
        }
        reader.finishes("rollback").await;
    }
}
