//! The commands that are shown, in the order in which they are run.
use super::redact::{self, Redactions};
use super::transcripts::{ALL, Transcripts};
use crate::cli::help::Page;
use crate::cli::serve::Serving;
use crate::cli::{in_directory, on, tallybook, transcript};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Executor};
use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tallybook::testing::{self, TestDatabase};

/// What is enough to see of a long list.
const BEGINNING: usize = 4;

/// A database, and the directory in which commands on it are run.
struct Place<'a> {
    database: &'a TestDatabase,
    directory: &'a Path,
}

impl Place<'_> {
    fn on(&self, arguments: &str) -> Command {
        let mut command = on(self.database, arguments);
        command.current_dir(self.directory);
        command
    }

    async fn sql(&self, sql: &str) {
        self.database.pool.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }
}

/// Runs what is not shown.
fn quietly(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Runs all of them; once more, where a day ended meanwhile.
pub(super) async fn tell(pages: &[Page]) -> Transcripts {
    loop {
        let mut shown = Transcripts::new(pages, Redactions::new());
        tell_of_one_day(&mut shown).await;
        if shown.redactions.today() == redact::today() {
            return shown;
        }
    }
}

async fn tell_of_one_day(shown: &mut Transcripts) {
    let directory = tempfile::tempdir().unwrap();
    let mut databases = Vec::new();
    for _ in 0..4 {
        databases.push(testing::empty_database().await);
    }
    let [main, restored, adopted, moved] = [0, 1, 2, 3].map(|n| Place { database: &databases[n], directory: directory.path() });
    for database in &databases {
        let options = database.options();
        shown.redactions.name(options.get_database().unwrap(), "tallybook");
        shown.redactions.name(format!("{}:{}", options.get_host(), options.get_port()), "db.example:5432");
    }
    migrate(shown, &main);
    import(shown, &main);
    usage(shown, &main);
    fold(shown, &main).await;
    trust(shown, &main).await;
    backfill(shown, &main).await;
    retain(shown, &main);
    tokens(shown, &main).await;
    rights(shown, &main);
    back_up(shown, &main, &restored);
    without_a_database(shown);
    refusals(shown, &main);
    adopt(shown, &adopted).await;
    move_over(shown, &moved).await;
    schedule(shown);
    serve(shown);
}

fn migrate(shown: &mut Transcripts, main: &Place<'_>) {
    shown.run_first(BEGINNING, "A database that is new:", &mut main.on("migrate status"));
    shown.run_first(BEGINNING, "Each migration is named as it is applied:", &mut main.on("migrate up"));
    shown.run("Once more, nothing is left:", &mut main.on("migrate up"));
    shown.run_first(BEGINNING, "Then it is:", &mut main.on("migrate status"));
    shown.run("The newest one is taken back:", &mut main.on("migrate down"));
    quietly(main.on("migrate up"));
}

fn import(shown: &mut Transcripts, main: &Place<'_>) {
    let today = shown.redactions.today();
    let records = [
        (400, "09:14:02Z,r1,review-40,claude-opus-4,1100,300,9000,0.0421"),
        (100, "16:40:51Z,r2,review-41,claude-opus-4,1200,350,18000,0.0535"),
        (100, "16:44:10Z,r3,review-41,claude-opus-4,800,900,21500,0.1102"),
        (2, "13:02:11Z,r4,triage-7,claude-haiku-4,5400,210,0,0.0065"),
        (1, "23:59:59Z,r5,triage-8,claude-haiku-4,5100,180,2000,"),
    ];
    let mut file = "time,request,task,model,input,output,cached,cost\n".to_owned();
    for (days_ago, rest) in records {
        let day = today - jiff::Span::new().days(days_ago);
        writeln!(file, "{day}T{rest}").unwrap();
    }
    fs::write(main.directory.join("requests.csv"), &file).unwrap();
    let columns = "--time time --input input --output output --cache-read cached --cost cost --model model --provider =anthropic \
                   --workspace Acme --agent reviewer --runtime build-7 --task-column task --key-column request";
    let arguments = format!("import csv requests.csv {columns}");
    shown.run("`requests.csv` holds five records, one of them without a price:", &mut main.on(&arguments));
    shown.run("Again, it changes nothing:", &mut main.on(&arguments));
    shown.run("What would delete usage has to be said to be meant:", &mut main.on("migrate down --to 0"));
}

fn usage(shown: &mut Transcripts, main: &Place<'_>) {
    shown.run("Of the file that was [imported](#tallybook-import-csv):", &mut main.on("usage --days 7"));
    shown.run(
        "Other days, and told apart by something else:",
        &mut main.on("usage --days 365 --workspace acme --by runtime,model"),
    );
    shown.run("For a spreadsheet:", &mut main.on("usage --days 365 --by provider --csv"));
}

/// A correction that waits to be folded.
async fn fold(shown: &mut Transcripts, main: &Place<'_>) {
    main.sql("update public.task_usage set output_tokens = output_tokens + 10 where model = 'claude-opus-4'").await;
    shown.run("Three reports were just corrected, and reads count them in already:", &mut main.on("status"));
    shown.run("What is pending is added to the rollups:", &mut main.on("fold"));
    shown.run("Where nothing is, nothing happens:", &mut main.on("fold"));
}

async fn trust(shown: &mut Transcripts, main: &Place<'_>) {
    shown.run("Every key of every rollup, compared with the raw rows:", &mut main.on("verify"));
    let today = shown.redactions.today();
    let since = today - jiff::Span::new().days(7);
    shown.run("The last days alone:", &mut main.on(&format!("verify --since {since}")));
    shown.run("As long as nothing endangers exactness:", &mut main.on("doctor"));
    main.sql(
        "alter table public.task_usage disable trigger tallybook_update;
         update public.task_usage set input_tokens = input_tokens + 1 where model = 'claude-haiku-4';",
    )
    .await;
    shown.run("Somebody has disabled a trigger:", &mut main.on("doctor"));
    shown.run("Somebody has disabled a trigger:", &mut main.on("status"));
    main.sql("alter table public.task_usage enable trigger tallybook_update").await;
    shown.run(
        "After the trigger of [doctor](#tallybook-doctor)'s example was enabled again: rows were updated meanwhile.",
        &mut main.on("verify"),
    );
    shown.run(
        "What would be rebuilt, when [verify](#tallybook-verify) has found drift and its cause is mended:",
        &mut main.on("repair --dry-run"),
    );
    shown.run("It is rebuilt:", &mut main.on("repair"));
    shown.run("And nothing is left to do:", &mut main.on("repair"));
}

/// A rollup that is declared over usage that is there.
async fn backfill(shown: &mut Transcripts, main: &Place<'_>) {
    main.sql("select tallybook.create_rollup('by_agent_hourly', '1 hour', array['agent_id', 'model'])").await;
    shown.run("A rollup was just declared, beside usage of before:", &mut main.on("backfill --dry-run"));
    shown.run("The newest day is covered first:", &mut main.on("backfill"));
    shown.run("Later, there is nothing to do:", &mut main.on("backfill"));
    main.sql("select tallybook.drop_rollup('by_agent_hourly')").await;
}

fn retain(shown: &mut Transcripts, main: &Place<'_>) {
    let days = "retain --raw 90d --quarter-hours 365d";
    shown.run(
        "Rows of three days, of which two are older than 90 days, and one of them than a year:",
        &mut main.on(&format!("{days} --dry-run")),
    );
    shown.run("It is done, and every total stays:", &mut main.on(days));
    shown.run("Until there is more, it does nothing:", &mut main.on(days));
}

async fn tokens(shown: &mut Transcripts, main: &Place<'_>) {
    let create = "token create --name ci --scope ingest --workspace acme --expires-in 90d";
    let told = transcript(&mut main.on(create));
    shown.redactions.name(told.lines().next().unwrap(), "tally_...");
    shown.show(ALL, "The token is shown this once; the database has only its digest:", create, &told);
    let id: String =
        sqlx::query_scalar("select id::text from tallybook.access_token").fetch_one(&main.database.pool).await.unwrap();
    shown.redactions.name(&id, "8c509665-6df6-4946-9014-91a52644c4cd");
    shown.run("Tokens are told apart by name and id:", &mut main.on("token list"));
    shown.run("It opens nothing any more:", &mut main.on(&format!("token revoke {id}")));
    shown.run_first(BEGINNING, "What the last hour brought:", &mut main.on("audit --since 1h"));
    shown.run("One kind of deed alone:", &mut main.on("audit --action rollup.repair"));
}

fn rights(shown: &mut Transcripts, main: &Place<'_>) {
    shown.run_first(BEGINNING, "Statements for `psql`, one a right:", &mut main.on("rights --role tallybook_serve"));
}

fn back_up(shown: &mut Transcripts, main: &Place<'_>, restored: &Place<'_>) {
    shown.run("Into a directory that is not there yet:", &mut main.on("backup tallybook-monday"));
    shown.run("Into another database, which is empty:", &mut restored.on("restore tallybook-monday"));
    shown.run("Into one that is not:", &mut main.on("restore tallybook-monday"));
}

fn without_a_database(shown: &mut Transcripts) {
    shown.redactions.name("File: /dev/null", "File: /etc/tallybook/tallybook.toml");
    let mut command = tallybook("config");
    command.env("TALLYBOOK_CONNECTIONS", "20").env("DATABASE_URL", "postgres://app:hunter2@db.example/usage");
    shown.run("With `DATABASE_URL` and `TALLYBOOK_CONNECTIONS` in the environment:", &mut command);
    shown.run_first(
        BEGINNING,
        "`eval \"$(tallybook completions bash)\"` in `~/.bashrc` completes commands, options and their values:",
        &mut tallybook("completions bash"),
    );
}

fn refusals(shown: &mut Transcripts, main: &Place<'_>) {
    shown.run(
        "It works on data of its own alone. Where others are, it refuses (`make run` shows what it does otherwise):",
        &mut main.on("demo"),
    );
    shown.run("It needs a server of its own, on which it makes databases, and takes as long as its sizes say ([BENCHMARKS.md](BENCHMARKS.md) is what it wrote):", &mut tallybook("bench --quick"));
    shown.run("Only the private instance's data are Tallybook's to upgrade ([INSTALL.md](INSTALL.md#the-private-instance-on-a-newer-major-version) shows that):", &mut main.on("upgrade-data"));
}

async fn adopt(shown: &mut Transcripts, adopted: &Place<'_>) {
    for sql in [include_str!("../../../src/testing/host.sql"), include_str!("../../../src/testing/host_fleet.sql"), "analyze"] {
        adopted.sql(sql).await;
    }
    shown.run("Before anything is changed, on a database whose tables somebody else has made:", &mut adopted.on("adopt --check"));
    let taken = adopted.on("migrate up --adopt").output().unwrap();
    assert!(taken.status.success());
    let told = String::from_utf8(taken.stdout).unwrap();
    let rest: String = told.split_inclusive('\n').filter(|line| !line.starts_with("applied ")).collect();
    shown.show(
        ALL,
        "Beside tables that somebody else has made ([ADOPTION.md](ADOPTION.md)), after the migrations:",
        "migrate up --adopt",
        &format!("{rest}--- exit 0\n"),
    );
    adopted.sql("alter table public.task_usage rename input_tokens to tokens_in").await;
    shown.run("Afterwards, when the host has renamed a column:", &mut adopted.on("adopt --refresh"));
    shown.run("When it has not:", &mut adopted.on("adopt --refresh"));
}

async fn move_over(shown: &mut Transcripts, moved: &Place<'_>) {
    quietly(moved.on("migrate up"));
    for sql in [
        include_str!("../moving/usual.sql"),
        include_str!("../../../src/testing/one_task.sql"),
        "delete from public.task_usage",
        include_str!("usual.sql"),
    ] {
        moved.sql(sql).await;
    }
    shown.run("The model of one report was corrected after its day had been summed:", &mut moved.on("adopt usual-design report"));
    shown.run("Where no job of pg_cron is found, the service folds:", &mut moved.on("adopt usual-design switch"));
    shown.run("And back:", &mut moved.on("adopt usual-design back"));
    shown.run("What would go:", &mut moved.on("adopt usual-design drop-old"));
    shown.run("It does not go before Tallybook is in charge:", &mut moved.on("adopt usual-design drop-old --yes"));
    quietly(moved.on("adopt usual-design switch"));
    shown.run_first(BEGINNING, "After the switch:", &mut moved.on("adopt usual-design drop-old --yes"));
}

/// pg_cron needs a server of its own, and a minute: what is shown was said to its tests.
fn schedule(shown: &mut Transcripts) {
    shown.run(
        "For cron; systemd and Kubernetes get files of theirs ([deploy/schedule](../deploy/schedule)):",
        &mut tallybook("schedule print cron"),
    );
    for (words, command, snapshot) in [
        ("Where pg_cron is ready:", "install", include_str!("../schedule/snapshots/pg_cron_install.snap")),
        ("Before there is a job:", "status", include_str!("../schedule/snapshots/pg_cron_status.snap")),
        ("As if it had never been there:", "uninstall", include_str!("../schedule/snapshots/pg_cron_uninstall.snap")),
    ] {
        let told = snapshot.splitn(3, "---\n").nth(2).unwrap();
        shown.show(ALL, words, &format!("schedule pg-cron {command}"), told);
    }
}

/// The service on a private PostgreSQL, in a directory that the server's user can reach, also when we are root.
fn serve(shown: &mut Transcripts) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    shown.redactions.name(directory.path().to_str().unwrap(), "/var/lib/tallybook");
    let serving = Serving::start(&mut in_directory(directory.path(), "serve --listen 127.0.0.1:0"));
    shown.redactions.name(serving.address.to_string(), "127.0.0.1:8080");
    let announced = format!("{}--- exit 0\n", serving.announced);
    shown.show(ALL, "Without `DATABASE_URL`, until it is stopped:", "serve", &announced);
    let told = transcript(&mut in_directory(directory.path(), "token admin"));
    shown.redactions.name(told.lines().next().unwrap(), "tally_...");
    shown.show(ALL, "While or after it served on its private PostgreSQL:", "token admin", &told);
    assert!(serving.stop(Signal::SIGTERM).0.success());
}
