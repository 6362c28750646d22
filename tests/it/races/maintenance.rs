//! Folds, slices of backfill and rebuilds beside any change, in either order of start and of commit, also with the work stopped
//! between its snapshot and its first write. No change ever waits for them.
use super::Played;
use super::changes::{CHANGES, HOST_CONFLICTS};
use super::session::{ISOLATIONS, Isolation, Session, Step, code_of};
use super::world::{
    Capture, GATE_CLOSE, GATE_OPEN, assert_equals_raw, database, fold_exactly, install_gate, redeclare, reset, uncover,
};
use sqlx::{Executor, PgConnection};

/// How the change and the work meet.
#[derive(Clone, Copy, Debug)]
enum Meeting {
    /// The work runs while the change is made and not committed.
    InsideTheChange,
    /// The work runs between the change's snapshot and its statement.
    AfterItsSnapshot,
    /// The change is made and committed while the work stands between its snapshot and its first write.
    InsideTheWork,
    /// The change is made before the work, and committed inside it.
    CommittedInsideTheWork,
    /// The change is made inside the work, and committed after it.
    MadeInsideTheWork,
}

const MEETINGS: [Meeting; 5] = [
    Meeting::InsideTheChange,
    Meeting::AfterItsSnapshot,
    Meeting::InsideTheWork,
    Meeting::CommittedInsideTheWork,
    Meeting::MadeInsideTheWork,
];

struct Meet<'a> {
    work: &'a str,
    worker: Session,
    writer: Session,
    gate: Session,
    conn: PgConnection,
}

impl Meet<'_> {
    async fn meet(&mut self, change: &str, how: Meeting, isolation: Isolation, after: &str) {
        match how {
            Meeting::InsideTheChange => {
                self.begin_and_change(change, isolation).await;
                self.worker.finishes(self.work).await;
                assert_equals_raw(&mut self.conn, after).await;
                self.writer.commit().await;
            }
            Meeting::AfterItsSnapshot => {
                self.writer.begin(isolation).await;
                self.worker.finishes(self.work).await;
                self.change(change).await;
                self.writer.commit().await;
            }
            Meeting::InsideTheWork => {
                self.stop_work().await;
                self.begin_and_change(change, isolation).await;
                self.writer.commit().await;
                assert_equals_raw(&mut self.conn, after).await;
                self.go_on().await;
            }
            Meeting::CommittedInsideTheWork => {
                self.begin_and_change(change, isolation).await;
                self.stop_work().await;
                self.writer.commit().await;
                assert_equals_raw(&mut self.conn, after).await;
                self.go_on().await;
            }
            Meeting::MadeInsideTheWork => {
                self.stop_work().await;
                self.begin_and_change(change, isolation).await;
                self.go_on().await;
                assert_equals_raw(&mut self.conn, after).await;
                self.writer.commit().await;
            }
        }
        fold_exactly(&mut self.conn, after).await;
    }

    async fn begin_and_change(&mut self, change: &str, isolation: Isolation) {
        self.writer.begin(isolation).await;
        self.change(change).await;
    }

    /// A change never waits for maintenance; what it may meet is what hosts meet anyway.
    async fn change(&mut self, change: &str) {
        match self.writer.step(change).await {
            Step::Finished(Ok(())) => {}
            Step::Finished(Err(error)) => assert!(HOST_CONFLICTS.contains(&code_of(&error).as_str()), "{error}: {change}"),
            Step::Waits => panic!("a host's statement waits for {}: {change}", self.work),
        }
    }

    async fn stop_work(&mut self) {
        self.gate.finishes(GATE_CLOSE).await;
        self.worker.blocks(self.work).await;
    }

    async fn go_on(&mut self) {
        self.gate.finishes(GATE_OPEN).await;
        self.worker.resume().await.unwrap();
    }
}

async fn meet_all(work: &str, capture: Capture, is_backfill: bool) {
    let db = database(capture).await;
    let mut conn = db.connect().await;
    if is_backfill {
        redeclare(&mut conn).await;
    }
    install_gate(&mut conn, "task_usage_daily").await;
    let mut meet = Meet {
        work,
        worker: Session::open(&db, "worker").await,
        writer: Session::open(&db, "writer").await,
        gate: Session::open(&db, "gate").await,
        conn,
    };
    let mut played = Played::default();
    for (row, change) in CHANGES.iter().enumerate() {
        for (column, how) in MEETINGS.into_iter().enumerate() {
            // all levels for each way to meet, and for each change; not for each pair of them
            let isolation = ISOLATIONS[(row + column) % ISOLATIONS.len()];
            // every task gets something pending that is not nothing in sum
            reset(&mut meet.conn).await;
            meet.conn.execute("select tallybook.fold(25, 50000)").await.unwrap();
            meet.conn.execute("update task_usage set input_tokens = input_tokens + 1").await.unwrap();
            if is_backfill {
                uncover(&mut meet.conn).await;
            }
            meet.meet(change.sql, how, isolation, &format!("{} | {work} | {how:?} | {isolation:?}", change.name)).await;
            played.count(isolation);
        }
    }
    played.record();
}

#[tokio::test]
async fn no_change_is_lost_beside_a_fold() {
    meet_all("select tallybook.fold(25, 50000)", Capture::ByStatement, false).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_folds_in_batches() {
    meet_all("select tallybook.fold(25, 1)", Capture::ByRow, false).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_a_batch_that_leaves_a_rest() {
    meet_all("select tallybook.fold(1, 1)", Capture::ByStatement, false).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_a_slice_of_backfill() {
    meet_all("select tallybook.backfill_slice(2)", Capture::ByStatement, true).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_the_last_slice_of_backfill() {
    meet_all("select tallybook.backfill_slice(1000)", Capture::ByRow, true).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_a_repair() {
    meet_all("select tallybook.rebuild_rollup('task_usage_daily', '2026-01-02', '2026-01-04')", Capture::ByRow, false).await;
}

#[tokio::test]
async fn no_change_is_lost_beside_a_rebuild() {
    meet_all("select tallybook.rebuild('2026-01-02', '2026-01-04')", Capture::ByStatement, false).await;
}
