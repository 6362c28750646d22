//! Sealing and thinning beside any change, in either order of start and of commit: all ends as if one had come after the other, and
//! neither makes the other fail.
use super::changes::{CHANGES, HOST_CONFLICTS};
use super::session::{ISOLATIONS, Isolation, Session, Step, code_of};
use super::world::{Capture, GATE_CLOSE, GATE_OPEN, assert_equals_raw, database, fold_exactly, install_gate, reset};
use sqlx::{Executor, PgConnection};

const SEAL: &str = "select tallybook.seal('2026-01-01', '2026-01-05', null, 1000)";
const THIN: &str = "select tallybook.thin('2026-01-01', '2026-01-05')";

/// How the change and the work meet.
#[derive(Clone, Copy, Debug)]
enum Meeting {
    /// The work runs while the change is made and not committed. It never waits.
    InsideTheChange,
    /// The work runs between the change's snapshot and its statement.
    AfterItsSnapshot,
    /// The change comes while the work stands between its locks and what it writes, and may have to wait for it.
    InsideTheWork,
    /// The change comes when the work is done and not committed.
    BeforeTheWorkCommits,
}

const MEETINGS: [Meeting; 4] =
    [Meeting::InsideTheChange, Meeting::AfterItsSnapshot, Meeting::InsideTheWork, Meeting::BeforeTheWorkCommits];

struct Meet {
    work: &'static str,
    worker: Session,
    writer: Session,
    gate: Session,
    conn: PgConnection,
}

impl Meet {
    /// The world with something pending, and for whoever thins, with all of it sealed.
    async fn begin(&mut self) {
        reset(&mut self.conn).await;
        self.conn.execute("delete from tallybook.sealed_usage; delete from tallybook.sealed_identity").await.unwrap();
        self.conn.execute("select tallybook.fold(25, 50000)").await.unwrap();
        self.conn.execute("update task_usage set input_tokens = input_tokens + 1").await.unwrap();
        if self.work == THIN {
            self.conn.execute(SEAL).await.unwrap();
        }
    }

    /// What counts, by all that is not a time.
    async fn sums(&mut self) -> String {
        sqlx::query_scalar(
            "select coalesce(string_agg(x::text, ' ' order by x::text), '') from (
               select workspace_id, runtime_id, agent_id, project_id, provider, model, sum(input_tokens), sum(output_tokens), sum(cost_usd_ticks),
                 sum(event_count)
               from tallybook.task_usage_quarter_hour_now group by 1, 2, 3, 4, 5, 6) x",
        )
        .fetch_one(&mut self.conn)
        .await
        .unwrap()
    }

    /// What comes out where the one comes after the other, in both orders, and where the change fails.
    async fn serial(&mut self, change: &str) -> Vec<String> {
        let mut outcomes = Vec::new();
        for order in [&[self.work, change][..], &[change, self.work], &[self.work]] {
            self.begin().await;
            for statement in order {
                self.conn.execute(sqlx::AssertSqlSafe((*statement).to_owned())).await.unwrap();
            }
            outcomes.push(self.sums().await);
        }
        outcomes
    }

    async fn meet(&mut self, change: &str, how: Meeting, isolation: Isolation, after: &str) {
        match how {
            Meeting::InsideTheChange => {
                self.writer.begin(isolation).await;
                let step = self.writer.step(change).await;
                self.work_alone(after).await;
                assert_equals_raw(&mut self.conn, after).await;
                self.settle(step).await;
            }
            Meeting::AfterItsSnapshot => {
                self.writer.begin(isolation).await;
                self.work_alone(after).await;
                let step = self.writer.step(change).await;
                self.settle(step).await;
            }
            Meeting::InsideTheWork => {
                self.gate.finishes(GATE_CLOSE).await;
                self.worker.blocks(self.work).await;
                let committed = self.change_inside(change, isolation, after).await;
                self.gate.finishes(GATE_OPEN).await;
                self.worker.resume().await.unwrap();
                self.end_change(committed, after).await;
            }
            Meeting::BeforeTheWorkCommits => {
                self.worker.begin(Isolation::ReadCommitted).await;
                self.worker.finishes(self.work).await;
                let committed = self.change_inside(change, isolation, after).await;
                self.worker.commit().await;
                self.end_change(committed, after).await;
            }
        }
    }

    /// The work changes no sum.
    async fn work_alone(&mut self, after: &str) {
        let before = self.sums().await;
        self.worker.finishes(self.work).await;
        assert_eq!(self.sums().await, before, "the work changed what counts, {after}");
    }

    /// Makes the change while the work is under way, and commits it unless it has to wait. Gives what counts then.
    async fn change_inside(&mut self, change: &str, isolation: Isolation, after: &str) -> Option<String> {
        self.writer.begin(isolation).await;
        let committed = match self.writer.step(change).await {
            Step::Waits => None,
            finished @ Step::Finished(_) => {
                self.settle(finished).await;
                Some(self.sums().await)
            }
        };
        assert_equals_raw(&mut self.conn, after).await;
        committed
    }

    /// The work has been committed: a change that had been committed before is not undone by that, and one that waited goes on.
    async fn end_change(&mut self, committed: Option<String>, after: &str) {
        if let Some(sums) = committed {
            assert_eq!(self.sums().await, sums, "the work changed what counts, {after}");
        } else {
            let outcome = self.writer.resume().await;
            self.settle(Step::Finished(outcome)).await;
        }
    }

    /// Ends the change's transaction; it has to wait for nobody any more, and meets no more than hosts meet anyway.
    async fn settle(&mut self, step: Step) {
        let Step::Finished(outcome) = step else { panic!("it waits for nobody's work") };
        let outcome = match outcome {
            Ok(()) => match self.writer.step("commit").await {
                Step::Finished(outcome) => outcome,
                Step::Waits => panic!("a commit waits"),
            },
            Err(error) => {
                self.writer.finishes("rollback").await;
                Err(error)
            }
        };
        if let Err(error) = outcome {
            assert!(HOST_CONFLICTS.contains(&code_of(&error).as_str()), "{error}");
            assert_ne!(code_of(&error), "40P01", "sealing waits for no row, and so is in no deadlock: {error}");
        }
    }
}

async fn meet_all(work: &'static str, capture: Capture) {
    let db = database(capture).await;
    let mut conn = db.connect().await;
    install_gate(&mut conn, "sealed_usage").await;
    let mut meet = Meet {
        work,
        worker: Session::open(&db, "worker").await,
        writer: Session::open(&db, "writer").await,
        gate: Session::open(&db, "gate").await,
        conn,
    };
    for (row, change) in CHANGES.iter().enumerate() {
        let serial = meet.serial(change.sql).await;
        for (column, how) in MEETINGS.into_iter().enumerate() {
            // all levels for each way to meet, and for each change; not for each pair of them
            let isolation = ISOLATIONS[(row + column) % ISOLATIONS.len()];
            let after = format!("{} | {work} | {how:?} | {isolation:?}", change.name);
            meet.begin().await;
            meet.meet(change.sql, how, isolation, &after).await;
            let sums = meet.sums().await;
            assert!(serial.contains(&sums), "in no order do they come to this: {sums}\nafter {after}\nbut to {serial:#?}");
            fold_exactly(&mut meet.conn, &after).await;
            assert_eq!(meet.sums().await, sums, "a fold changed something after {after}");
        }
    }
}

#[tokio::test]
async fn no_change_is_lost_beside_the_sealing_of_what_it_changes() {
    meet_all(SEAL, Capture::ByStatement).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_sealing_where_usage_is_captured_by_row() {
    meet_all(SEAL, Capture::ByRow).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_the_thinning_of_quarter_hours() {
    meet_all(THIN, Capture::ByStatement).await;
}

/// The work of others between the sealing and its commit, and the other way round.
#[tokio::test]
async fn sealing_and_the_upkeep_of_rollups_do_not_wait_for_each_other() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    let (mut sealer, mut keeper) = (Session::open(&db, "sealer").await, Session::open(&db, "keeper").await);
    for upkeep in [
        "select tallybook.fold(25, 50000)",
        "select tallybook.fold(25, 1)",
        "select tallybook.rebuild('2026-01-01', '2026-01-05')",
        "select tallybook.rebuild_rollup('task_usage_daily', '-infinity', 'infinity')",
        "select tallybook.backfill_slice(1)",
    ] {
        for work in [SEAL, THIN] {
            reset(&mut conn).await;
            if work == THIN {
                conn.execute(SEAL).await.unwrap();
            }
            sealer.begin(Isolation::ReadCommitted).await;
            sealer.finishes(work).await;
            // A later transaction ends before: the keeper's snapshot then reaches past the sealer, who is only open.
            conn.execute("select pg_current_xact_id()").await.unwrap();
            keeper.finishes(upkeep).await;
            assert_equals_raw(&mut conn, upkeep).await;
            sealer.commit().await;
            fold_exactly(&mut conn, upkeep).await;

            reset(&mut conn).await;
            keeper.begin(Isolation::ReadCommitted).await;
            keeper.finishes(upkeep).await;
            sealer.finishes(work).await;
            assert_equals_raw(&mut conn, upkeep).await;
            keeper.commit().await;
            fold_exactly(&mut conn, upkeep).await;
        }
    }
}

#[tokio::test]
async fn two_runs_seal_each_row_once() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    let (mut one, mut two) = (Session::open(&db, "one").await, Session::open(&db, "two").await);
    let sums = "select sum(event_count)::text || ' ' || sum(input_tokens) from tallybook.task_usage_daily_now";
    let before: String = sqlx::query_scalar(sums).fetch_one(&mut conn).await.unwrap();
    one.begin(Isolation::ReadCommitted).await;
    one.finishes("select tallybook.seal('2026-01-01', '2026-01-05', null, 1)").await;
    two.blocks(SEAL).await;
    one.commit().await;
    two.resume().await.unwrap();
    fold_exactly(&mut conn, "two runs").await;
    assert_eq!(sqlx::query_scalar::<_, String>(sums).fetch_one(&mut conn).await.unwrap(), before);
}

#[tokio::test]
async fn a_purge_takes_along_what_is_sealed_meanwhile() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    let (mut sealer, mut purger) = (Session::open(&db, "sealer").await, Session::open(&db, "purger").await);
    for (delete, purge, of) in [
        (
            "delete from agent where id = the('agent 1')",
            "select tallybook.purge_sealed('agent', the('agent 1'))",
            "agent_id = the('agent 1')",
        ),
        (
            "delete from workspace where id = the('workspace 1')",
            "select tallybook.purge_sealed('workspace', the('workspace 1'))",
            "workspace_id = the('workspace 1')",
        ),
    ] {
        let left = format!("select count(*) from tallybook.task_usage_quarter_hour_now where {of}");
        for work in [SEAL, THIN] {
            reset(&mut conn).await;
            if work == THIN {
                conn.execute(SEAL).await.unwrap();
            }
            // the work is done first and commits while the purge waits for it
            sealer.begin(Isolation::ReadCommitted).await;
            sealer.finishes(work).await;
            purger.begin(Isolation::ReadCommitted).await;
            let deleting = purger.step(delete).await;
            let is_waiting = matches!(deleting, Step::Waits);
            assert_eq!(is_waiting, work == SEAL, "what is being sealed is held");
            if !is_waiting {
                purger.blocks(purge).await;
            }
            sealer.commit().await;
            purger.resume().await.unwrap();
            if is_waiting {
                purger.finishes(purge).await;
            }
            purger.commit().await;
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(left.clone())).fetch_one(&mut conn).await.unwrap();
            assert_eq!(rows, 0, "{delete} beside {work}");
            fold_exactly(&mut conn, delete).await;
        }
    }
}

#[tokio::test]
async fn what_is_sealed_cannot_be_truncated() {
    let db = database(Capture::ByStatement).await;
    let mut session = Session::open(&db, "operator").await;
    session.finishes(SEAL).await;
    session.fails("truncate tallybook.sealed_usage", "0A000").await;
}

#[tokio::test]
async fn what_cannot_be_trusted_is_not_sealed() {
    let db = database(Capture::ByStatement).await;
    let mut session = Session::open(&db, "operator").await;
    session
        .finishes("insert into tallybook.drift (rollup, day, drifted_keys) values ('task_usage_daily', '2026-01-04', 1)")
        .await;
    for work in [SEAL, THIN] {
        let message = session.fails(work, "55000").await;
        assert!(message.contains("task_usage_daily differs"), "{message}");
    }
    session.finishes("delete from tallybook.drift").await;
    session.finishes("select tallybook.create_rollup('third', '1 hour', array['agent_id', 'model'])").await;
    for work in [SEAL, THIN] {
        let message = session.fails(work, "55000").await;
        assert!(message.contains("third does not cover"), "{message}");
    }
    session.finishes("select tallybook.backfill_slice(1000)").await;
    session.finishes(SEAL).await;
}

#[tokio::test]
async fn a_rollup_is_covered_from_what_is_sealed() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    conn.execute(SEAL).await.unwrap();
    // with nothing raw, and nothing pending
    conn.execute("select tallybook.fold(25, 50000)").await.unwrap();
    conn.execute("select tallybook.create_rollup('third', '1 hour', array['agent_id', 'model'])").await.unwrap();
    let slice = "select rows_written from tallybook.backfill_slice(1)";
    let mut slices = Vec::new();
    while let Some(written) = sqlx::query_scalar::<_, i64>(slice).fetch_optional(&mut conn).await.unwrap() {
        slices.push(written);
        fold_exactly(&mut conn, "a slice").await;
    }
    assert!(slices.len() > 1, "one slice for everything: {slices:?}");
    let shown: (i64, i64) = sqlx::query_as(
        "select (select sum(event_count)::bigint from tallybook.third_now), (select sum(event_count)::bigint from tallybook.sealed_usage)",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(shown.0, shown.1);
}

#[tokio::test]
async fn sealed_identities_are_kept_and_none_is_taken_for_another() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    conn.execute(SEAL).await.unwrap();
    let rows: (i64, i64) = sqlx::query_as(
        "select (select count(*) from tallybook.sealed_identity), (select sum(event_count)::bigint from tallybook.sealed_usage)",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(rows, (4, 5), "two differ in the spelling of their provider alone");
    let distinct: i64 = sqlx::query_scalar(
        "select count(distinct tallybook.identity_digest(the('task 1'), provider, model, event_key))
         from (values ('a', 'b', 'c'), ('ab', '', 'c'), ('a', 'bc', ''), ('', 'ab', 'c'), ('a', '1:b', 'c'), ('a', 'b:c', ''), ('a', 'b', ':c'), ('A', 'b', 'c'))
           as identity (provider, model, event_key)",
    )
    .fetch_one(&mut conn)
    .await
    .unwrap();
    assert_eq!(distinct, 7, "a provider is the same however it is spelt");
}

#[tokio::test]
async fn thinned_days_are_utc_days_whatever_the_session_s_zone() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    for zone in ["Asia/Kolkata", "America/St_Johns", "UTC"] {
        reset(&mut conn).await;
        conn.execute("delete from tallybook.sealed_usage; delete from tallybook.sealed_identity").await.unwrap();
        conn.execute(sqlx::AssertSqlSafe(format!("set timezone = '{zone}'"))).await.unwrap();
        conn.execute("select tallybook.seal('2026-01-01 00:00+00', '2026-01-05 00:00+00', null, 1000)").await.unwrap();
        conn.execute("select tallybook.thin('2026-01-01 00:00+00', '2026-01-05 00:00+00')").await.unwrap();
        conn.execute("set timezone = 'UTC'").await.unwrap();
        let days: String =
            sqlx::query_scalar("select string_agg(distinct bucket_start::text, ' ') from tallybook.task_usage_quarter_hour_now")
                .fetch_one(&mut conn)
                .await
                .unwrap();
        assert_eq!(days, "2026-01-02 00:00:00+00 2026-01-03 00:00:00+00", "{zone}");
        fold_exactly(&mut conn, zone).await;
    }
}

/// Each with nothing else pending, so that it is seen for its own sake.
#[tokio::test]
async fn what_becomes_of_sealed_usage_is_seen_at_once() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    let total = "select coalesce(sum(event_count), 0)::bigint from tallybook.task_usage_daily_now";
    for (change, events) in [
        (SEAL, 5),
        (THIN, 5),
        ("select tallybook.purge_sealed('runtime', the('runtime 1'))", 5),
        ("select tallybook.purge_sealed('project', the('project 1'))", 5),
        ("select tallybook.purge_sealed('agent', the('agent 2'))", 4),
        ("select tallybook.purge_sealed('workspace', the('workspace 1'))", 0),
    ] {
        conn.execute(change).await.unwrap();
        assert_eq!(sqlx::query_scalar::<_, i64>(total).fetch_one(&mut conn).await.unwrap(), events, "{change}");
        fold_exactly(&mut conn, change).await;
        // without the mark, which passes over what a fold has seen, nothing is left either
        conn.execute("delete from tallybook.fold_mark").await.unwrap();
        assert_eq!(sqlx::query_scalar::<_, i64>(total).fetch_one(&mut conn).await.unwrap(), events, "{change}, folded");
    }
}
