//! TLS to the database: what `sslmode` and `sslrootcert` in its URL promise is held, and nothing falls back to the clear.
use super::Authority;
use super::cluster::Cluster;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::path::Path;
use tallybook::config::Place;
use tallybook::db::database::{Database, Error, Schema};

/// Whether the session was encrypted, or why there was none.
async fn open(url: &str) -> Result<bool, Error> {
    let database = Database::open(&Place::from(url.parse::<PgConnectOptions>().unwrap()), Schema::Any).await?;
    let asked = sqlx::query_scalar("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetch_one(&database.pool).await;
    database.close().await.unwrap();
    Ok(asked.unwrap())
}

async fn refused(url: &str) -> String {
    let error = open(url).await.unwrap_err();
    assert!(matches!(error, Error::Insecure { .. }), "{error}");
    error.to_string()
}

fn root(directory: &Path, name: &str, authority: &Authority) -> String {
    let path = directory.join(name);
    std::fs::write(&path, authority.pem()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_url_demands_of_the_connection_is_held() {
    let cluster = Cluster::start();
    let (authority, stranger) = (Authority::new(), Authority::new());
    let directory = tempfile::tempdir().unwrap();
    let (trusted, other) = (root(directory.path(), "ca", &authority), root(directory.path(), "other", &stranger));

    // As long as the server speaks no TLS: whoever does not demand it goes without.
    assert!(!open(&cluster.url("localhost", "sslmode=prefer")).await.unwrap());
    for demand in ["require", "verify-ca", "verify-full"] {
        let told = refused(&cluster.url("localhost", &format!("sslmode={demand}&sslrootcert={trusted}"))).await;
        assert!(told.contains("server does not support TLS") && told.contains("sslmode"), "{told}");
    }

    cluster.secure(&authority, "localhost").await;
    for (host, parameters) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={trusted}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={trusted}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
    ] {
        assert!(open(&cluster.url(host, &parameters)).await.unwrap(), "{host} {parameters}");
    }
    assert!(!open(&cluster.url("localhost", "sslmode=disable")).await.unwrap());
    for (host, parameters, why) in [
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={trusted}"), "127.0.0.1"),
        ("localhost", "sslmode=verify-full&sslrootcert=/nonexistent".to_owned(), "No such file"),
    ] {
        let told = refused(&cluster.url(host, &parameters)).await;
        assert!(told.contains(why), "{host} {parameters}: {told}");
    }
}

#[tokio::test]
async fn a_server_that_loses_its_certificate_is_not_spoken_to_in_the_clear() {
    let cluster = Cluster::start();
    let authority = Authority::new();
    cluster.secure(&authority, "localhost").await;
    let required = cluster.url("localhost", "sslmode=require");
    let pool = sqlx::PgPool::connect(&required).await.unwrap();
    sqlx::query("alter system set ssl = off").execute(&pool).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(&pool).await.unwrap();
    // As soon as the server has read its settings, every attempt fails: none is made in the clear.
    let plain: PgConnectOptions = cluster.url("localhost", "sslmode=disable").parse().unwrap();
    loop {
        match PgConnection::connect(&required).await {
            Ok(connection) => drop(connection.close().await),
            Err(error) => {
                assert!(error.to_string().contains("does not support TLS"), "{error}");
                break;
            }
        }
    }
    PgConnection::connect_with(&plain).await.unwrap().close().await.unwrap();
    assert!(refused(&required).await.contains("does not support TLS"));
}
