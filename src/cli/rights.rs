//! `tallybook rights`: what the service's own role needs.
use super::Outcome;
use super::output::{Output, count};
use crate::db::pool::PgPool;
use crate::rights;

const AFTER_HELP: &str = "\
The role that runs `tallybook migrate up` owns what it makes. `tallybook serve` can run as another role, which makes, alters and drops nothing, and sees no token's digest: this prints the statements that give it what it needs, for the owner to run. Run them again after an upgrade, and after a rollup was declared.

Exit codes:
  0  printed; with --check: the role has what it needs
  1  with --check: it lacks something
  2  could not be done

Examples:
  tallybook rights --role tallybook_serve | psql \"$DATABASE_URL\"
  tallybook rights --role tallybook_serve --check";

/// Print the grants that a role needs to run `tallybook serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The role.
    #[arg(long, value_name = "NAME")]
    role: String,
    /// Print only what the role lacks.
    #[arg(long)]
    check: bool,
    /// Answer with a JSON array: each right, whether it `is_held`, and the statement that grants it.
    #[arg(long)]
    json: bool,
}

/// Prints the statements.
pub(super) async fn run(arguments: &Arguments, pool: &PgPool, out: &mut Output) -> anyhow::Result<Outcome> {
    let rights = rights::of_service(pool, &arguments.role).await?;
    let (all, lacking) = (rights.len(), rights.iter().filter(|right| !right.is_held).count());
    let shown: Vec<_> = rights.into_iter().filter(|right| !arguments.check || !right.is_held).collect();
    if arguments.json {
        out.json(&shown)?;
    } else if arguments.check && lacking == 0 {
        out.line(format_args!("Role {} has what `tallybook serve` needs.", arguments.role))?;
    } else {
        out.line(format_args!("-- {} of {}, for `tallybook serve` as {}", count(shown.len(), "right"), all, arguments.role))?;
        for right in &shown {
            out.line(format_args!("{};", right.statement))?;
        }
    }
    Ok(if arguments.check && lacking > 0 { Outcome::Negative } else { Outcome::Done })
}
