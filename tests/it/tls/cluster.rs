//! A PostgreSQL of a test's own that may speak TLS.
use super::Authority;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, Executor, PgConnection};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use tallybook::testing::URL_VARIABLE;

/// Starts a server, says where it is, and keeps it until its input ends: also when the test is killed.
const KEEP: &str = r#"exec 3<&0; exec scripts/test-cluster bash -c 'echo "$TALLYBOOK_TEST_DATABASE_URL"; cat <&3'"#;

/// The server; removed when this is dropped.
pub(super) struct Cluster {
    keeper: Child,
    input: Option<ChildStdin>,
    url: String,
}

impl Cluster {
    /// One that does not speak TLS.
    pub(super) fn start() -> Self {
        let mut keeper = Command::new("bash")
            .args(["-c", KEEP])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove(URL_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = keeper.stdin.take();
        let mut url = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { keeper, input, url: url.trim().to_owned() }
    }

    /// How to connect, with these parameters.
    pub(super) fn url(&self, host: &str, parameters: &str) -> String {
        format!("{}?{parameters}", self.url.replace("127.0.0.1", host))
    }

    /// Lets it speak TLS, with a certificate for `name`.
    pub(super) async fn secure(&self, authority: &Authority, name: &str) {
        let plain: PgConnectOptions = self.url("127.0.0.1", "sslmode=disable").parse().unwrap();
        let mut connection = PgConnection::connect_with(&plain).await.unwrap();
        let directory: String = sqlx::query_scalar("show data_directory").fetch_one(&mut connection).await.unwrap();
        let (certificate, key) = authority.sign(name);
        own(Path::new(&directory), "server.crt", &certificate);
        own(Path::new(&directory), "server.key", &key);
        connection.execute("alter system set ssl = on").await.unwrap();
        connection.execute("select pg_reload_conf()").await.unwrap();
        // New sessions have the settings that the server has.
        while {
            let mut fresh = PgConnection::connect_with(&plain).await.unwrap();
            sqlx::query_scalar::<_, String>("show ssl").fetch_one(&mut fresh).await.unwrap() != "on"
        } {}
    }
}

/// Writes a file into the server's directory, for the server's user alone.
fn own(directory: &Path, name: &str, content: &str) {
    let path: PathBuf = directory.join(name);
    let owner = fs::metadata(directory).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.keeper.wait());
    }
}
