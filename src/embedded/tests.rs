//! The private PostgreSQL as its users meet it: real servers, real crashes.
use super::layout::{Layout, PORT, socket_in};
use super::lock::{Transition, Using};
use super::postmaster::Postmaster;
use super::user::ServerUser;
use super::{Error, PrivatePostgres, keep_running};
use nix::sys::signal::Signal;
use sqlx::{Connection, Executor, PgConnection};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Barrier, Mutex, Weak};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A directory that the server's user can reach, also when we are root.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A data directory with a cluster in it that never ran. Making one takes long, so the tests that run at
/// the same time copy one.
fn made() -> (Arc<TempDir>, TempDir) {
    static SHARED: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap();
    let original = shared.upgrade().unwrap_or_else(|| {
        let original = Arc::new(directory());
        drop(PrivatePostgres::join(original.path()).unwrap());
        *shared = Arc::downgrade(&original);
        original
    });
    let copy = directory();
    let copied = Command::new("cp").arg("-a").arg(original.path().join("postgres")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    (original, copy)
}

fn postmaster(data_dir: &Path) -> Option<Postmaster> {
    Postmaster::find(&Layout::create(data_dir).unwrap()).unwrap()
}

async fn query(postgres: &PrivatePostgres, sql: &'static str) -> String {
    let mut connection = PgConnection::connect_with(&postgres.connect_options()).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

async fn execute(postgres: &PrivatePostgres, sql: &'static str) {
    PgConnection::connect_with(&postgres.connect_options()).await.unwrap().execute(sql).await.unwrap();
}

/// What `kill -9` of a service does: its locks are gone, its server is not.
fn kill(postgres: &PrivatePostgres) {
    let held = postgres.held.lock().unwrap().take().unwrap();
    drop((held.using, held.serving));
}

/// A process of the server's user that has nothing to do with any server.
fn stranger(data_dir: &Path) -> std::process::Child {
    let user = ServerUser::of(&Layout::create(data_dir).unwrap()).unwrap();
    user.command(Path::new("sleep")).arg("600").spawn().unwrap()
}

#[tokio::test]
async fn the_last_user_stops_the_server_and_the_data_stay() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    let service = PrivatePostgres::serve(&data_dir).unwrap();
    let refused = PrivatePostgres::serve(&data_dir).unwrap_err();
    assert!(matches!(refused, Error::AlreadyServed { pid: Some(_), .. }), "{refused}");
    let command = PrivatePostgres::join(&data_dir).unwrap();

    execute(&service, "create table kept as select 'still here' as text").await;
    service.stop().unwrap();
    assert_eq!(query(&command, "select text from kept").await, "still here");
    command.stop().unwrap();
    assert!(postmaster(&data_dir).is_none());

    let again = PrivatePostgres::serve(&data_dir).unwrap();
    assert_eq!(query(&again, "select text from kept").await, "still here");
    drop(again);
    assert!(postmaster(&data_dir).is_none());
}

#[tokio::test]
async fn commits_are_durable_and_only_the_socket_is_open() {
    let directory = directory();
    let postgres = PrivatePostgres::join(directory.path()).unwrap();
    let settings = "select string_agg(current_setting(name), ' ' order by n) from unnest(array['fsync', 'full_page_writes', \
                    'synchronous_commit', 'data_checksums', 'server_encoding', 'TimeZone', 'listen_addresses']) with ordinality t(name, n)";
    assert_eq!(query(&postgres, settings).await, "on on on on UTF8 UTC ");
    let role = "select format('%s %s %s', current_user, rolsuper::text, datcollate) from pg_roles, pg_database \
                where rolname = current_user and datname = current_database()";
    assert_eq!(query(&postgres, role).await, "tallybook false C.UTF-8");

    let layout = Layout::create(directory.path()).unwrap();
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(layout.cluster()), 0o700);
    assert_eq!(mode(layout.root().join("socket")), 0o700);
    assert_eq!(mode(layout.log()), 0o600);
}

#[tokio::test]
async fn a_killed_server_is_revived_with_all_that_it_had_committed() {
    let (_original, directory) = made();
    let service = PrivatePostgres::serve(directory.path()).unwrap();
    execute(&service, "create table committed as select 'safe' as text").await;
    assert!(!service.revive().unwrap());
    // A backend that is busy when the postmaster dies would keep the next one from starting.
    let mut busy = PgConnection::connect_with(&service.connect_options()).await.unwrap();
    let mut watcher = PgConnection::connect_with(&service.connect_options()).await.unwrap();
    let busy =
        TaskTracker::new().spawn(async move { busy.execute("select count(*) from generate_series(1, 1000000000000)").await });
    let seen = "select exists (select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid())";
    while !sqlx::query_scalar::<_, bool>(seen).fetch_one(&mut watcher).await.unwrap() {}

    let killed = postmaster(directory.path()).unwrap();
    killed.signal(Signal::SIGKILL).unwrap();
    while !service.revive().unwrap() {}
    assert!(busy.await.unwrap().is_err());
    assert_ne!(postmaster(directory.path()).unwrap().pid, killed.pid);
    assert_eq!(query(&service, "select text from committed").await, "safe");
}

#[tokio::test]
async fn a_service_gets_its_killed_server_back_by_itself() {
    let (_original, directory) = made();
    let service = Arc::new(PrivatePostgres::serve(directory.path()).unwrap());
    let stop = CancellationToken::new();
    let keeping = TaskTracker::new().spawn(keep_running(Arc::clone(&service), stop.clone()));
    let killed = postmaster(directory.path()).unwrap();
    killed.signal(Signal::SIGKILL).unwrap();
    let pool = crate::db::pool::lazy(service.connect_options(), None, 1);
    while postmaster(directory.path()).is_none_or(|running| running.pid == killed.pid) || pool.begin().await.is_err() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    keeping.await.unwrap();
    pool.close().await;
    service.stop().unwrap();
    assert!(postmaster(directory.path()).is_none());
}

#[tokio::test]
async fn the_schema_needs_no_special_rights() {
    let (_original, directory) = made();
    let postgres = PrivatePostgres::join(directory.path()).unwrap();
    let pool = crate::db::pool::lazy(postgres.connect_options(), None, 2);
    crate::db::migrate::up(&pool).await.unwrap();
    crate::db::migrate::down(&pool, 0).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn the_server_of_a_killed_service_is_taken_over() {
    let (_original, directory) = made();
    let killed = PrivatePostgres::serve(directory.path()).unwrap();
    execute(&killed, "create table committed as select 'safe' as text").await;
    let orphan = postmaster(directory.path()).unwrap();
    kill(&killed);

    let service = PrivatePostgres::serve(directory.path()).unwrap();
    assert_eq!(postmaster(directory.path()).unwrap().pid, orphan.pid);
    assert_eq!(query(&service, "select text from committed").await, "safe");
    service.stop().unwrap();
    assert!(postmaster(directory.path()).is_none());
}

#[test]
fn a_left_over_pid_file_whose_number_is_somebody_elses_is_no_obstacle() {
    let (_original, directory) = made();
    let killed = PrivatePostgres::serve(directory.path()).unwrap();
    let orphan = postmaster(directory.path()).unwrap();
    orphan.signal(Signal::SIGKILL).unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    while killed.held.lock().unwrap().as_mut().unwrap().server.is_alive(&layout) {}
    kill(&killed);

    let mut stranger = stranger(directory.path());
    let number = |text: &str| text.replacen(&orphan.pid.to_string(), &stranger.id().to_string(), 1);
    let socket_lock = socket_in(&orphan.socket_directory, PORT).with_extension(format!("{PORT}.lock"));
    for path in [layout.cluster().join("postmaster.pid"), socket_lock] {
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, number(&text)).unwrap();
    }
    PrivatePostgres::serve(directory.path()).unwrap().stop().unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn many_commands_at_once_share_one_server_and_leave_none() {
    const COMMANDS: usize = 8;
    let (_original, directory) = made();
    let directory = Arc::new(directory);
    let all_there = Arc::new(Barrier::new(COMMANDS));
    let commands = (0..COMMANDS).map(|_| {
        let (directory, all_there) = (Arc::clone(&directory), Arc::clone(&all_there));
        std::thread::spawn(move || {
            let first = PrivatePostgres::join(directory.path()).unwrap();
            let pid = postmaster(directory.path()).unwrap().pid;
            all_there.wait();
            first.stop().unwrap();
            // Some come while others go: none may find a server that is being stopped.
            let second = PrivatePostgres::join(directory.path()).unwrap();
            assert!(postmaster(directory.path()).is_some());
            second.stop().unwrap();
            pid
        })
    });
    let commands: Vec<_> = commands.collect();
    let pids: Vec<i32> = commands.into_iter().map(|command| command.join().unwrap()).collect();
    assert!(pids.windows(2).all(|pair| pair[0] == pair[1]), "{pids:?}");
    assert!(postmaster(directory.path()).is_none());
}

#[test]
fn a_half_made_cluster_is_made_again() {
    let directory = directory();
    let leftover = directory.path().join("postgres.unfinished-1");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("PG_VERSION"), "15\n").unwrap();
    drop(PrivatePostgres::join(directory.path()).unwrap());
    assert!(!leftover.exists());
}

#[test]
fn what_is_no_cluster_of_ours_is_left_alone() {
    let directory = directory();
    let cluster = directory.path().join("postgres");
    fs::create_dir(&cluster).unwrap();
    let user = ServerUser::of(&Layout::create(&directory.path().join("other")).unwrap()).unwrap();
    user.give(&cluster).unwrap();
    fs::write(cluster.join("letter.txt"), "dear").unwrap();
    let error = PrivatePostgres::join(directory.path()).unwrap_err();
    assert!(matches!(error, Error::NotACluster { .. }), "{error}");
    fs::write(cluster.join("PG_VERSION"), "9\n").unwrap();
    let error = PrivatePostgres::join(directory.path()).unwrap_err();
    assert!(matches!(error, Error::WrongVersion { has: 9, .. }), "{error}");
}

#[test]
fn a_server_that_cannot_start_is_quoted() {
    let (_original, directory) = made();
    let local = directory.path().join("postgres/local.conf");
    fs::write(&local, "no_such_setting = 1\n").unwrap();
    fs::set_permissions(&local, Permissions::from_mode(0o644)).unwrap();
    let error = PrivatePostgres::join(directory.path()).unwrap_err().to_string();
    assert!(error.contains("no_such_setting") && error.contains("postgres.log"), "{error}");
}

#[tokio::test]
async fn a_deep_or_odd_path_gets_a_short_socket() {
    let directory = directory();
    let data_dir = directory.path().join("it's, deep").join("d".repeat(120));
    let postgres = PrivatePostgres::join(&data_dir).unwrap();
    let socket_directory = postmaster(&data_dir).unwrap().socket_directory;
    assert!(!socket_directory.starts_with(&data_dir));
    assert_eq!(socket_directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(query(&postgres, "select 'reached'").await, "reached");
    drop(postgres);
    fs::remove_dir(socket_directory).unwrap();
}

#[test]
fn a_foreign_listener_on_the_socket_is_named() {
    let (_original, directory) = made();
    let layout = Layout::create(directory.path()).unwrap();
    let socket = socket_in(&layout.socket_directory(&ServerUser::of(&layout).unwrap()).unwrap(), PORT);
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = PrivatePostgres::join(directory.path()).unwrap_err();
    assert!(matches!(error, Error::SocketInUse { .. }), "{error}");
}

#[test]
fn a_directory_that_the_servers_user_cannot_reach_is_named() {
    if !nix::unistd::geteuid().is_root() {
        return; // Others run the server as themselves.
    }
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let error = PrivatePostgres::join(&closed.path().join("data")).unwrap_err();
    assert!(matches!(&error, Error::Unreachable { path, .. } if path == closed.path()), "{error}");
}

#[test]
fn who_comes_while_the_last_user_leaves_waits() {
    let directory = directory();
    let layout = Layout::create(directory.path()).unwrap();
    let leaving = Transition::begin(&layout).unwrap();
    let last = Using::begin(&layout, &leaving).unwrap();
    let coming = {
        let layout = layout.clone();
        std::thread::spawn(move || {
            let transition = Transition::begin(&layout).unwrap();
            Using::begin(&layout, &transition).unwrap()
        })
    };
    assert!(last.end(&leaving).unwrap());
    assert!(!coming.is_finished());
    drop(leaving);
    drop(coming.join().unwrap());
}
