//! `tallybook token`: makes, lists and revokes the bearer tokens of the HTTP API.
use super::output::{Output, table};
use super::{Outcome, entity};
use crate::access::{self, Record, Scope, Secret};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::config::{Place, read_secret};
use crate::db::pool::PgPool;
use crate::embedded;
use crate::service::admin_token;
use anyhow::{Context as _, bail};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::json;
use std::path::PathBuf;
use uuid::Uuid;

const CREATE_HELP: &str = "\
The token itself is the only line on standard output, and is kept nowhere: it cannot be shown again. With --token-file it is the file's text, and the same again changes nothing: an orchestrator can make the secret, and run this as often as it likes.

Scopes:
  ingest  report usage
  read    read usage, and what it is attributed to
  admin   everything, within the token's workspace

Examples:
  tallybook token create --name ci --scope ingest --workspace acme --expires-in 90d
  tallybook token create --name admin --scope admin --all-workspaces --token-file /run/secrets/admin-token
  TOKEN=$(tallybook token create --name grafana --scope read --all-workspaces)";

const ADMIN_HELP: &str = "\
The private instance makes this token when it first starts; a file that only its owner can read keeps it.

Example:
  curl -H \"Authorization: Bearer $(tallybook token admin)\" http://127.0.0.1:8080/v1/workspaces";

/// Make, list and revoke the tokens of the HTTP API.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    Stored(Stored),
    /// Print the admin token of the private instance.
    #[command(after_help = ADMIN_HELP)]
    Admin,
}

/// What is done with the tokens in the database.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Stored {
    /// Make a token and print it.
    #[command(after_help = CREATE_HELP)]
    Create(Create),
    /// List all tokens, those that open nothing any more too.
    List(List),
    /// Make a token open nothing any more, at once and for good.
    Revoke(Revoke),
}

/// What the token is to be.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("opens").required(true).args(["workspace", "all_workspaces"]))]
pub(super) struct Create {
    /// Who uses it, and where; for the list.
    #[arg(long)]
    name: String,
    /// What it may be used for: ingest, read, admin; several by commas.
    #[arg(long, required = true, value_delimiter = ',')]
    scope: Vec<Scope>,
    /// The only workspace that it opens, by id, slug or name.
    #[arg(long, value_name = "WORKSPACE")]
    workspace: Option<String>,
    /// Let it open every workspace.
    #[arg(long)]
    all_workspaces: bool,
    /// How long it is good for, such as 90d, 12h or 1y [default: until it is revoked].
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// Take the text from this file, in the place of a random one, and print nothing: for secrets that are made elsewhere.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Answer with a JSON object: `token`, and `record`, what is known of it.
    #[arg(long)]
    json: bool,
}

/// How to list.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Answer with a JSON array.
    #[arg(long)]
    json: bool,
}

/// Which token.
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// Its id, as `tallybook token list` shows it.
    id: Uuid,
}

/// Does what was asked.
pub(super) async fn run(command: Stored, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    match command {
        Stored::Create(create) => make(create, pool, clock, out).await,
        Stored::List(how) => list(&how, pool, clock, out).await,
        Stored::Revoke(which) => revoke(&which, pool, clock, out).await,
    }
}

async fn make(create: Create, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    let workspace = match &create.workspace {
        Some(word) => Some(entity::workspace(pool, word).await?),
        None => None,
    };
    let expires_at = create.expires_in.map(|span| after(clock.now(), span)).transpose()?;
    let new = access::New { name: create.name, workspace, scopes: create.scope, expires_at };
    if let Some(path) = &create.token_file {
        let text = read_secret(path, "--token-file")?;
        let secret = Secret::given(&text).with_context(|| {
            format!(
                "the file {} holds no token: it is tally_ and 32 random bytes in base64 for URLs, 43 characters",
                path.display()
            )
        })?;
        let record = access::adopt(pool, clock, &Actor::cli(), &secret, new).await?;
        if create.json {
            out.json(&json!({ "record": record }))?;
        }
        return Ok(Outcome::Done);
    }
    let (secret, record) = access::create(pool, clock, &Actor::cli(), new).await?;
    if create.json {
        out.json(&json!({ "token": secret.reveal(), "record": record }))?;
    } else {
        out.line(secret.reveal())?;
    }
    Ok(Outcome::Done)
}

async fn list(how: &List, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    let records = access::list(pool).await?;
    if how.json {
        out.json(&records)?;
    } else if records.is_empty() {
        out.line("There is no token yet; `tallybook token create --help` tells how to make one.")?;
    } else {
        let now = clock.now();
        let header = ["id", "name", "scopes", "workspace", "created", "state"];
        out.line(table(header, records.iter().map(|record| row(record, now)), header.len()))?;
    }
    Ok(Outcome::Done)
}

async fn revoke(which: &Revoke, pool: &PgPool, clock: &Clock, out: &mut Output) -> anyhow::Result<Outcome> {
    match access::revoke(pool, clock, &Actor::cli(), which.id).await? {
        Some(record) => out.line(format_args!("Revoked: {} ({}).", record.id, record.name))?,
        None => bail!("there is no token {}; `tallybook token list` lists them", which.id),
    }
    Ok(Outcome::Done)
}

/// Prints the private instance's admin token. Needs no database.
pub(super) fn admin(place: &Place, out: &mut Output) -> anyhow::Result<Outcome> {
    let Place::Private(dir) = place else {
        bail!("only the private instance has an admin token of its own; make one with `tallybook token create`");
    };
    let path = embedded::admin_token_path(dir);
    let read = admin_token::read(&path).with_context(|| format!("the admin token in {} cannot be read", path.display()))?;
    match read {
        Some(token) => out.line(token)?,
        None => bail!("there is no admin token in {} yet; `tallybook serve` makes it when it starts", path.display()),
    }
    Ok(Outcome::Done)
}

fn after(now: Timestamp, span: Span) -> anyhow::Result<Timestamp> {
    if !span.is_positive() {
        bail!("--expires-in must be longer than nothing");
    }
    let then = now.to_zoned(TimeZone::UTC).checked_add(span).context("--expires-in is out of range")?;
    Ok(then.timestamp())
}

fn row(record: &Record, now: Timestamp) -> [String; 6] {
    let state = match (record.revoked_at, record.expires_at) {
        (Some(at), _) => format!("revoked {at:.0}"),
        (None, Some(at)) if at <= now => format!("expired {at:.0}"),
        (None, Some(at)) => format!("expires {at:.0}"),
        (None, None) => "active".to_owned(),
    };
    [
        record.id.to_string(),
        record.name.clone(),
        record.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(","),
        record.workspace.map_or_else(|| "all".to_owned(), |id| id.to_string()),
        format!("{:.0}", record.created_at),
        state,
    ]
}
