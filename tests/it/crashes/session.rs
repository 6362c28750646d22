//! An instance that is killed again and again while reporters go on.
use super::choices::choices;
use super::gate::{Gate, Place};
use super::hold::Hold;
use super::import::{ImportFile, RECORDS};
use super::instance::{Instance, directory};
use super::patience::{ask, wait_for};
use super::plan::{Kill, Stage, Victim, Work, one_of};
use super::process::Process;
use super::recovery::{self, Imported};
use super::reporter::Reporters;
use super::summary::Summary;
use nix::sys::signal::Signal;
use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::Executor;
use tallybook::embedded::PrivatePostgres;
use tempfile::TempDir;

/// Rows of rollups that history comes to, at least.
const ROLLUP_ROWS: i64 = 40;
/// Commands in all migrations but the first, at least.
const MIGRATION_COMMANDS: i64 = 150;
/// Sums that a file comes to when it is sealed, at least.
const SEALED_SUMS: i64 = 300;
/// Reports that are acknowledged before the first kill: enough for [`ROLLUP_ROWS`].
const REPORTS_FIRST: u64 = 200;

/// One instance's life.
pub(super) struct Session {
    instance: Instance,
    reporters: Reporters,
    choices: StdRng,
    imported: Imported,
    files: i64,
    summary: Summary,
    directory: TempDir,
}

impl Session {
    /// Starts an instance and its reporters; `number` is whose choices it follows.
    pub(super) async fn begin(number: u64) -> Self {
        let directory = directory();
        let mut instance = Instance::new(&directory.path().join("data"));
        instance.serve();
        let reporters = Reporters::start(&instance.door, number);
        let settings =
            "select current_setting('fsync') || current_setting('full_page_writes') || current_setting('synchronous_commit')";
        let durable: String = sqlx::query_scalar(settings).fetch_one(&instance.pool).await.unwrap();
        assert_eq!(durable, "ononon");
        let choices = choices(number);
        let session =
            Self { instance, reporters, choices, imported: (0, 0, 0), files: 0, summary: Summary::default(), directory };
        session.acknowledged_more(REPORTS_FIRST);
        session
    }

    /// Kills once, and waits until all is well again.
    pub(super) async fn survive(&mut self, kill: Kill) {
        self.summary.killed(kill);
        match kill.point.work {
            Work::Any => self.at_any_moment(kill.victim).await,
            Work::Recovery => self.while_recovering(kill.victim),
            Work::Ingest => self.at_gate(kill, Place::Ingest).await,
            Work::Fold => self.at_gate(kill, Place::Fold).await,
            Work::Import => self.during_import(kill).await,
            Work::Sealing => self.during_sealing(kill).await,
            Work::Backfill => self.during_backfill(kill).await,
            Work::Migration => self.during_migration(kill).await,
        }
        self.instance.serve();
        recovery::work_goes_on(&self.instance).await;
        recovery::check(&self.instance, &self.reporters.ledger, &mut self.summary).await;
    }

    /// Ends in good order, and gives what it came to.
    pub(super) async fn finish(mut self) -> Summary {
        self.reporters.finish();
        recovery::check_totals(&self.instance, &self.reporters.ledger, self.imported, &mut self.summary).await;
        self.summary.answered(&self.reporters.answers.lock().unwrap());
        self.summary.acknowledged = self.reporters.ledger.acknowledged();
        self.summary.imported = self.imported.0;
        let ended = self.instance.end_service(Signal::SIGTERM).unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(self.instance.postmaster(), None, "the last one out stops the server");
        self.summary
    }

    async fn at_any_moment(&mut self, victim: Victim) {
        let more = self.choices.random_range(1..=60);
        self.acknowledged_more(more);
        // Those that may end by themselves at any moment are left out.
        let any = "select pid from pg_stat_activity
            where pid <> pg_backend_pid() and backend_type not in ('autovacuum worker', 'parallel worker') order by pid";
        let processes: Vec<i32> = sqlx::query_scalar(any).fetch_all(&self.instance.pool).await.unwrap();
        let backend = one_of(&processes, &mut self.choices);
        self.kill(victim, backend, &mut None).await;
    }

    /// Everything is killed; the next service is killed, too, with its server or alone, as soon as that is there.
    fn while_recovering(&mut self, victim: Victim) {
        self.instance.kill(Victim::Everything, None, &mut None);
        self.instance.launch();
        wait_for("a server that starts", || self.instance.postmaster());
        self.instance.kill(victim, None, &mut None);
    }

    /// The service is at work already.
    async fn at_gate(&mut self, kill: Kill, place: Place) {
        let passing = self.choices.random_range(0..20);
        let gate = Gate::close(self.instance.connect().await, place, passing).await;
        self.kill_at(gate, kill, &mut None).await;
    }

    async fn during_import(&mut self, kill: Kill) {
        let file = self.file();
        let passing = self.choices.random_range(0..RECORDS);
        let gate = Gate::close(self.instance.connect().await, Place::Import, passing).await;
        let mut import = Some(self.instance.command(&file.command()));
        self.kill_at(gate, kill, &mut import).await;
        self.instance.serve();
        // One that was not killed waits for the server to come back, or gives up and says so.
        end_well_or_say_why(import);
        let again = self.instance.run(&file.command());
        assert!(again.contains(&format!("\"records\": {RECORDS}")), "{again}");
        self.check_imported().await;
    }

    async fn during_sealing(&mut self, kill: Kill) {
        let file = self.file();
        self.instance.run(&file.command());
        let passing = self.choices.random_range(0..SEALED_SUMS);
        let gate = Gate::close(self.instance.connect().await, Place::Sealing, passing).await;
        let mut sealing = Some(self.instance.command(&ImportFile::sealing()));
        self.kill_at(gate, kill, &mut sealing).await;
        self.instance.serve();
        end_well_or_say_why(sealing);
        self.check_imported().await;
        // The next one goes on, past what a transaction that has not noticed its end may still hold.
        let left = "select count(*) from public.task_usage where model = 'imported'";
        ask("all of it to be sealed", || async {
            self.instance.run(&ImportFile::sealing());
            let left: i64 = sqlx::query_scalar(left).fetch_one(&self.instance.pool).await?;
            Ok((left == 0).then_some(()))
        })
        .await;
        let again = self.instance.run(&file.command());
        assert!(again.contains(&format!("\"sealed\": {RECORDS}")), "{again}");
        self.check_imported().await;
    }

    /// The next file to be imported, which counts from now on.
    fn file(&mut self) -> ImportFile {
        self.files += 1;
        let file = ImportFile::write(self.directory.path(), self.files);
        let (records, input, output) = file.holds;
        self.imported = (self.imported.0 + records, self.imported.1 + input, self.imported.2 + output);
        file
    }

    /// Whether what was imported is there, sealed or not.
    async fn check_imported(&mut self) {
        let sums = "select sum(event_count)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint
            from tallybook.contribution() where model = 'imported'";
        let stored: Imported = ask("the import", || sqlx::query_as(sums).fetch_optional(&self.instance.pool)).await;
        self.summary.totalled("imported", self.imported, stored);
    }

    async fn during_backfill(&mut self, kill: Kill) {
        drop(self.instance.end_service(Signal::SIGKILL));
        let server = PrivatePostgres::join(self.instance.data_dir()).unwrap();
        let mut keeper = self.instance.connect().await;
        // What is pending is no part of what a slice writes.
        keeper.execute("select tallybook.rollup_task_usage_daily()").await.unwrap();
        // As the role that the service works as.
        let redeclare = concat!("set role tallybook;", include_str!("../races/redeclare.sql"), ";reset role");
        keeper.execute(redeclare).await.unwrap();
        let passing = self.choices.random_range(0..ROLLUP_ROWS);
        let gate = Gate::close(keeper, Place::Backfill, passing).await;
        let mut command = self.worker(kill.victim, "backfill --slice-rows 50");
        self.kill_at(gate, kill, &mut command).await;
        self.let_go(server, command);
    }

    async fn during_migration(&mut self, kill: Kill) {
        drop(self.instance.end_service(Signal::SIGKILL));
        let server = PrivatePostgres::join(self.instance.data_dir()).unwrap();
        self.instance.run("migrate down --to 1");
        let passing = self.choices.random_range(0..MIGRATION_COMMANDS);
        let gate = Gate::close(self.instance.connect().await, Place::Migration, passing).await;
        let mut command = self.worker(kill.victim, "migrate up");
        self.kill_at(gate, kill, &mut command).await;
        self.let_go(server, command);
    }

    /// Who does the work: the service, or a command. Whoever is to be killed takes part.
    fn worker(&mut self, victim: Victim, command: &str) -> Option<Process> {
        let by_command = victim == Victim::Command || (victim != Victim::Service && self.choices.random());
        if by_command {
            return Some(self.instance.command(command));
        }
        self.instance.launch();
        None
    }

    /// Starts the service where it was killed, and leaves it alone with its server.
    fn let_go(&mut self, server: PrivatePostgres, command: Option<Process>) {
        self.instance.serve();
        drop(server);
        end_well_or_say_why(command);
    }

    /// Waits until somebody stands at `gate`, lets it go on to its commit if that is where to kill, and kills.
    async fn kill_at(&mut self, gate: Gate, kill: Kill, command: &mut Option<Process>) {
        let worker = gate.visitor(&self.instance.pool).await;
        let mut gate = Some(gate);
        if kill.point.stage == Stage::Committed {
            let hold = Hold::begin(&self.instance).await;
            gate.take().unwrap().open().await;
            hold.holds(&self.instance, worker).await;
        }
        self.kill(kill.victim, worker, command).await;
        if let Some(gate) = gate {
            gate.open().await;
        }
    }

    /// Kills, and waits until a server that has to start again has done so, if there is somebody to start it.
    async fn kill(&mut self, victim: Victim, backend: i32, command: &mut Option<Process>) {
        let generation = "select backend_start::text from pg_stat_activity where backend_type = 'checkpointer'";
        let before: String = sqlx::query_scalar(generation).fetch_one(&self.instance.pool).await.unwrap();
        self.instance.kill(victim, Some(backend), command);
        // Commits may have been held.
        self.instance.reload();
        if matches!(victim, Victim::Postmaster | Victim::Backend | Victim::Everything) {
            self.instance.serve();
            ask("another life of the server", || async {
                let now: Option<String> = sqlx::query_scalar(generation).fetch_optional(&self.instance.pool).await?;
                Ok(now.filter(|now| *now != before))
            })
            .await;
        }
    }

    fn acknowledged_more(&self, reports: u64) {
        let goal = self.reporters.ledger.acknowledged() + reports;
        wait_for("reports to be acknowledged", || (self.reporters.ledger.acknowledged() >= goal).then_some(()));
    }
}

/// A command that lost its server has done its work, or says that it could not.
fn end_well_or_say_why(command: Option<Process>) {
    let Some(ended) = command.map(Process::end) else { return };
    let reason = ended.logged.lines().next_back().unwrap_or_default();
    assert!(ended.status.success() || (ended.status.code() == Some(2) && reason.starts_with("tallybook: ")), "{ended:?}");
}
