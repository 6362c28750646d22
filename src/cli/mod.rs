//! The command line: one file a subcommand, each no more than its options, one call of the library, and what is printed.
//!
//! Owns parsing, exit codes, the one line that an error is told in, and what Ctrl-C does. Logs go to standard
//! error, results to standard output, and nothing to either that is secret.
use crate::clock::Clock;
use crate::config::{Config, Options};
use crate::db::database::{Database, Schema};
use crate::db::pool::PgPool;
use crate::telemetry;
use clap::{CommandFactory, Parser, Subcommand};
use output::Output;
use parse::Given;
use signals::Stops;
use std::process::ExitCode;

mod adopt;
mod audit;
mod backfill;
mod backup;
mod bench;
mod completions;
mod config;
mod days;
mod demo;
mod doctor;
mod entity;
mod failure;
mod fold;
mod import;
mod migrate;
mod output;
mod parse;
mod reads;
mod repair;
mod restore;
mod retain;
mod rights;
mod schedule;
mod serve;
mod signals;
mod status;
mod time;
mod token;
mod upgrade_data;
mod usage;
mod usual_design;
mod verify;

/// Exit code when the work could not be done.
const EXIT_COULD_NOT: u8 = 2;
/// Exit code when Ctrl-C or `kill` ended a command, as shells have it for the former.
const EXIT_INTERRUPTED: u8 = 130;

/// What a service logs unless told otherwise: not the database's notices, of which migrations make many.
const LOG_SERVICE: &str = "info,sqlx=warn";
/// What a command logs unless told otherwise: not that a statement took long, which the user sees.
const LOG_COMMAND: &str = "warn,sqlx=error";

const AFTER_HELP: &str = "\
Exit codes:
  0    done, and for verify, repair, doctor and status: all is exact and well
  1    done, and the answer is no: drift, a fault, a migration missing
  2    could not be done; the reason is on standard error
  130  interrupted by Ctrl-C or a signal

Examples:
  tallybook demo                          try it out with a simulated fleet
  tallybook serve                         start, with a private PostgreSQL of its own
  tallybook usage --days 30               what was used, by day, provider and model
  tallybook verify                        prove that the rollups equal the raw rows
  tallybook doctor                        find what could break that
  tallybook status                        how the database and the rollups stand
  tallybook config                        what is configured, and where it was said

`tallybook help COMMAND` tells more about each command.";

/// Exact, always fresh token and cost rollups for fleets of AI agents, on plain PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "tallybook", version, after_help = AFTER_HELP, max_term_width = 110, subcommand_required = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    #[command(flatten)]
    OnDatabase(OnDatabase),
    #[command(subcommand)]
    Token(token::Command),
    #[command(subcommand)]
    Schedule(schedule::Command),
    Config(config::Arguments),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    UpgradeData(upgrade_data::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
}

/// Commands that open the database, work, and close it.
#[derive(Debug, Subcommand)]
enum OnDatabase {
    Usage(usage::Arguments),
    Status(status::Arguments),
    Verify(verify::Arguments),
    Repair(repair::Arguments),
    Doctor(doctor::Arguments),
    Fold(fold::Arguments),
    Backfill(backfill::Arguments),
    Retain(retain::Arguments),
    #[command(subcommand)]
    Import(import::Command),
    #[command(subcommand)]
    Migrate(migrate::Command),
    Audit(audit::Arguments),
    Rights(rights::Arguments),
    Adopt(adopt::Arguments),
    /// Reached through [`Command::Token`].
    #[command(skip)]
    Token(token::Stored),
    /// Reached through [`Command::Schedule`].
    #[command(skip)]
    PgCron(schedule::PgCron),
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It did its work, and all is well.
    Done,
    /// It did its work, and the answer is no.
    Negative,
    /// It was told to end before it was done.
    Interrupted,
}

/// What commands work with.
struct Context {
    config: Config,
    given: Given,
    clock: Clock,
    out: Output,
}

/// Runs the command line that this process was started with.
pub fn run() -> ExitCode {
    let (cli, given) = match parse::parse(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(parsed) => parsed,
        Err(parse::Error::Line(error)) => {
            let code = if error.use_stderr() { EXIT_COULD_NOT } else { 0 };
            // Help that nobody reads to its end is not an error.
            drop(error.print());
            return ExitCode::from(code);
        }
        Err(error) => {
            failure::print(&error.into());
            return ExitCode::from(EXIT_COULD_NOT);
        }
    };
    match start(cli, given) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Negative) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Err(error) => {
            failure::print(&error);
            ExitCode::from(EXIT_COULD_NOT)
        }
    }
}

/// Sets up the process and runs the command.
fn start(mut cli: Cli, given: Given) -> anyhow::Result<Outcome> {
    cli.options.settle(|key| given.source(key))?;
    if matches!(cli.command, Command::Demo(_)) {
        demo::choose_data_dir(&mut cli.options);
    }
    // Before the logs: see `Config::new`.
    let config = Config::new(&cli.options)?;
    let usual = if matches!(cli.command, Command::Serve(_)) { LOG_SERVICE } else { LOG_COMMAND };
    let level = cli.options.log_level.as_deref().unwrap_or(usual);
    let _telemetry = telemetry::init(cli.options.log_format, level)?;
    let mut context = Context { config, given, clock: Clock::system(), out: Output::stdout() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        if cli.command.serves() {
            return Box::pin(cli.command.run(&mut context)).await;
        }
        let mut stops = Stops::listen()?;
        tokio::select! {
            outcome = Box::pin(cli.command.run(&mut context)) => outcome,
            () = stops.next() => Ok(Outcome::Interrupted),
        }
    });
    failure::both(outcome, context.out.finish())
}

impl Command {
    /// Whether it runs until it is stopped, and handles signals itself.
    fn serves(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Demo(_) | Self::Bench(_))
    }

    async fn run(self, context: &mut Context) -> anyhow::Result<Outcome> {
        match self {
            Self::Serve(arguments) => serve::run(arguments, context).await,
            Self::Demo(arguments) => demo::run(arguments, context).await,
            Self::Config(arguments) => config::run(&arguments, &context.config, &context.given, &mut context.out),
            Self::Backup(arguments) => backup::run(arguments, context).await,
            Self::Restore(arguments) => restore::run(arguments, context).await,
            Self::UpgradeData(arguments) => upgrade_data::run(arguments, context).await,
            Self::Bench(arguments) => Box::pin(bench::run(arguments, context)).await,
            Self::Completions(arguments) => completions::run(&arguments, Cli::command(), &mut context.out),
            Self::Token(token::Command::Admin) => token::admin(&context.config.database, &mut context.out),
            Self::Token(token::Command::Stored(command)) => OnDatabase::Token(command).run(context).await,
            Self::Schedule(schedule::Command::Print(arguments)) => schedule::print(&arguments, &mut context.out),
            Self::Schedule(schedule::Command::PgCron(command)) => OnDatabase::PgCron(command).run(context).await,
            Self::OnDatabase(command) => command.run(context).await,
        }
    }
}

impl OnDatabase {
    async fn run(self, context: &mut Context) -> anyhow::Result<Outcome> {
        let place = &context.config.database;
        let needed = if self.takes_any_schema() { Schema::Any } else { Schema::Current };
        let database = Database::open(place, needed).await?;
        let outcome = self.run_on(&database.pool, &context.clock, &mut context.out).await;
        failure::both(outcome.map_err(|error| failure::locate(error, place)), database.close().await)
    }

    fn takes_any_schema(&self) -> bool {
        match self {
            Self::Migrate(_) | Self::Doctor(_) => true,
            Self::Adopt(arguments) => arguments.takes_any_schema(),
            _ => false,
        }
    }

    async fn run_on(self, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
        match self {
            Self::Usage(arguments) => usage::run(arguments, pool, clock, out).await,
            Self::Status(arguments) => status::run(&arguments, pool, out).await,
            Self::Verify(arguments) => verify::run(&arguments, pool, out).await,
            Self::Repair(arguments) => repair::run(&arguments, pool, out).await,
            Self::Doctor(arguments) => doctor::run(&arguments, pool, out).await,
            Self::Fold(arguments) => fold::run(&arguments, pool, out).await,
            Self::Backfill(arguments) => backfill::run(&arguments, pool, out).await,
            Self::Retain(arguments) => retain::run(&arguments, pool, out).await,
            Self::Import(command) => import::run(command, pool, clock, out).await,
            Self::Migrate(command) => migrate::run(command, pool, out).await,
            Self::Rights(arguments) => rights::run(&arguments, pool, out).await,
            Self::Audit(arguments) => audit::run(arguments, pool, clock, out).await,
            Self::Adopt(arguments) => adopt::run(arguments, pool, out).await,
            Self::Token(command) => token::run(command, pool, clock, out).await,
            Self::PgCron(command) => schedule::run(command, pool, out).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_contradict_each_other_nowhere() {
        parse::definition().0.debug_assert();
    }

    #[test]
    fn every_command_and_every_option_is_documented() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            assert!(name == "help" || command.get_about().is_some(), "{name} says nothing about itself");
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{} of {name} is not documented", argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }

    #[test]
    fn a_number_of_days_is_at_least_one() {
        let parse = |days| Cli::try_parse_from(["tallybook", "usage", "--days", days]);
        assert!(parse("90").is_ok());
        for bad in ["0", "-1", "1.5", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
