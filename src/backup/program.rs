//! Runs `pg_dump` and `pg_restore`, without a password in their arguments.
use super::Error;
use crate::embedded::client_program;
use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

/// How many lines of a failed program's output an error quotes.
const QUOTED_LINES_MAX: usize = 8;
/// Parameters of a URL that libpq takes from the environment, too.
const PARAMETERS: [(&str, &str); 4] =
    [("sslmode", "PGSSLMODE"), ("sslrootcert", "PGSSLROOTCERT"), ("sslcert", "PGSSLCERT"), ("sslkey", "PGSSLKEY")];

/// Finds `program` in a version that can talk to a server of that major version.
pub(super) fn find(program: &'static str, at_least: i32) -> Result<PathBuf, Error> {
    let major = u32::try_from(at_least).unwrap_or_default();
    client_program(program, major).map_err(|looked| Error::NoProgram { program, at_least, looked })
}

/// The program at `path`, to be run on the database at `options`; it ends with us.
pub(super) fn command(path: &PathBuf, options: &PgConnectOptions) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command.envs(environment(options)).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it, and gives what it wrote to standard output.
pub(super) async fn run(program: &'static str, command: &mut Command) -> Result<Vec<u8>, Error> {
    let output = command.output().await.map_err(Error::file("run", program))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let kept = &lines[lines.len().saturating_sub(QUOTED_LINES_MAX)..];
    Err(Error::Program { program, output: kept.join("\n") })
}

/// How libpq is told to connect there.
fn environment(options: &PgConnectOptions) -> Vec<(&'static str, String)> {
    let url = options.to_url_lossy();
    let mut environment = vec![
        ("PGHOST", options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string())),
        ("PGPORT", options.get_port().to_string()),
        ("PGUSER", options.get_username().to_owned()),
        ("PGDATABASE", options.get_database().unwrap_or_else(|| options.get_username()).to_owned()),
        ("PGAPPNAME", "tallybook backup".to_owned()),
    ];
    if let Some(password) = url.password() {
        environment.push(("PGPASSWORD", percent_decode_str(password).decode_utf8_lossy().into_owned()));
    }
    for (name, value) in url.query_pairs() {
        if let Some((_, variable)) = PARAMETERS.iter().find(|(parameter, _)| *parameter == name) {
            environment.push((variable, value.into_owned()));
        }
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where_and_who_and_how() {
        let options: PgConnectOptions = "postgres://app:p%40ss%25@db.example:6000/usage?sslmode=require".parse().unwrap();
        let environment = environment(&options);
        for expected in [
            ("PGHOST", "db.example"),
            ("PGPORT", "6000"),
            ("PGUSER", "app"),
            ("PGDATABASE", "usage"),
            ("PGPASSWORD", "p@ss%"),
            ("PGSSLMODE", "require"),
        ] {
            assert!(
                environment.iter().any(|(name, value)| (*name, value.as_str()) == expected),
                "{expected:?} in {environment:?}"
            );
        }
        let options: PgConnectOptions = "postgres://app@%2Frun%2Fpg/usage".parse().unwrap();
        assert!(super::environment(&options).contains(&("PGHOST", "/run/pg".to_owned())));
    }

    #[test]
    fn a_program_that_is_too_old_is_not_taken() {
        let error = find("pg_dump", 99).unwrap_err().to_string();
        assert!(error.contains("postgresql-client-99"), "{error}");
    }
}
