//! `tallybook serve`: start, stop, and what is in its way.
use super::{on, tallybook, transcript};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Executor;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tallybook::testing;

/// How long a service may take for what it does at once when the machine is not busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often to look for what is waited for.
const POLL: Duration = Duration::from_millis(20);

/// A service in a process of its own; killed when the test ends early.
pub(crate) struct Serving {
    child: Child,
    /// Reads what it logs, so that a full pipe never stops it.
    log: Option<JoinHandle<String>>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it printed when it had started.
    pub(crate) announced: String,
}

impl Serving {
    /// Starts `command`, which serves on a free port, and waits until it says where.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(|| io::read_to_string(stderr).unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced = [lines.next(), lines.next()].map(|line| line.map(Result::unwrap));
        let [Some(first), Some(second)] = announced else {
            panic!("the service did not start: {}", log.join().unwrap());
        };
        let address = first.split_once("http://").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
        Self { child, log: Some(log), address, announced: format!("{first}\n{second}\n") }
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The status of `GET path`; none while nobody answers.
    pub(crate) fn get(&self, path: &str, token: Option<&str>) -> Option<u16> {
        let mut request = ureq::get(format!("http://{}{path}", self.address)).config().http_status_as_error(false).build();
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call().ok().map(|response| response.status().as_u16())
    }

    /// Waits until `GET path` answers `status`.
    pub(crate) fn wait_for(&self, path: &str, status: u16) {
        let began = Instant::now();
        while self.get(path, None) != Some(status) {
            assert!(began.elapsed() < PATIENCE, "{path} does not answer {status}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits until `/metrics` has the line.
    pub(crate) fn wait_for_metric(&self, line: &str) {
        let began = Instant::now();
        loop {
            let mut answer = ureq::get(format!("http://{}/metrics", self.address)).call().unwrap();
            let text = answer.body_mut().read_to_string().unwrap();
            if text.lines().any(|told| told == line) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{line} does not come in\n{text}");
            std::thread::sleep(POLL);
        }
    }

    /// Sends `signal` and waits for the end; gives what was logged, too.
    pub(crate) fn stop(mut self, signal: Signal) -> (ExitStatus, String) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        (self.child.wait().unwrap(), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn it_migrates_answers_and_stops_on_either_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let database = testing::empty_database().await;
        let serving = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0"));
        assert!(serving.announced.contains("tallybook token create --help"), "{}", serving.announced);
        assert_eq!(serving.get("/healthz", None), Some(200));
        serving.wait_for("/readyz", 200);
        assert_eq!(serving.get("/v1/workspaces", None), Some(401));
        let (status, told) = serving.stop(signal);
        assert!(status.success(), "{told}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_to_be() {
    let database = testing::database().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = transcript(on(&database, "serve --log-level off --listen").arg(address.to_string()));
    assert_eq!(
        told,
        format!(
            "--- standard error\ntallybook: cannot listen on {address}: another program listens there; \
             stop the program that has it or choose another with --listen or TALLYBOOK_LISTEN\n--- exit 2\n"
        )
    );
}

#[tokio::test]
async fn other_addresses_than_loopback_want_a_proxy() {
    let database = testing::database().await;
    insta::assert_snapshot!(transcript(&mut on(&database, "serve --listen 0.0.0.0:0")), @"
--- standard error
tallybook: will not listen on 0.0.0.0:0: tokens would cross the network unencrypted; listen on 127.0.0.1, give a certificate (--tls-cert and --tls-key), or put a proxy that ends TLS in front and say --behind-proxy
--- exit 2
");
    let serving = Serving::start(&mut on(&database, "serve --listen 0.0.0.0:0 --behind-proxy"));
    assert!(serving.stop(Signal::SIGTERM).0.success());
}

#[tokio::test]
async fn a_database_that_cannot_be_used_ends_it_at_once() {
    let database = testing::database().await;
    let mut command = on(&database, "serve --log-level off --listen 127.0.0.1:0");
    let nowhere = database.options().database("no_such_database");
    command.env("DATABASE_URL", sqlx::ConnectOptions::to_url_lossy(&nowhere).as_str());
    let told = transcript(&mut command);
    assert!(told.contains("refuses the connection: database \"no_such_database\" does not exist"), "{told}");
    assert!(told.ends_with("--- exit 2\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn m08_a_database_that_is_away_at_the_start_is_waited_for() {
    let database = testing::empty_database().await;
    let options = database.options();
    // A port that refuses until a way to the database is opened there.
    let door = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = on(&database, "serve --listen 127.0.0.1:0");
    let url = options.clone().host("127.0.0.1").port(door.port());
    command.env("DATABASE_URL", sqlx::ConnectOptions::to_url_lossy(&url).as_str());
    let serving = tokio::task::spawn_blocking(move || {
        let serving = Serving::start(&mut command);
        assert_eq!(serving.get("/healthz", None), Some(200));
        assert_eq!(serving.get("/readyz", None), Some(503));
        serving
    })
    .await
    .unwrap();
    let tracker = tokio_util::task::TaskTracker::new();
    let opened = tokio::net::TcpListener::bind(door).await.unwrap();
    let to = (options.get_host().to_owned(), options.get_port());
    let doorkeeper = tracker.spawn(async move {
        let visitors = tokio_util::task::TaskTracker::new();
        while let Ok((mut inside, _)) = opened.accept().await {
            let to = to.clone();
            visitors.spawn(async move {
                let mut outside = tokio::net::TcpStream::connect(to).await?;
                tokio::io::copy_bidirectional(&mut inside, &mut outside).await
            });
        }
    });
    let (status, told) = tokio::task::spawn_blocking(move || {
        serving.wait_for("/readyz", 200);
        serving.stop(Signal::SIGTERM)
    })
    .await
    .unwrap();
    doorkeeper.abort();
    assert!(status.success() && told.contains("does not answer") && told.contains("answers"), "{told}");
}

#[test]
fn what_is_no_address_is_refused() {
    insta::assert_snapshot!(transcript(&mut tallybook("serve --listen localhost:99999")), @"
--- standard error
error: invalid value 'localhost:99999' for '--listen <ADDRESS:PORT>': invalid socket address syntax

For more information, try '--help'.
--- exit 2
");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_the_stop() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let made = on(&database, "token create --name ci --scope ingest --workspace one").output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let serving = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0"));
    let url = format!("http://{}/v1/usage", serving.address);
    let report = |number: u32| {
        let body = serde_json::json!({ "reports": [{
            "task_id": "00000000-0000-4000-8000-000000000004", "provider": "openai", "model": "gpt",
            "event_key": number.to_string(),
            "input_tokens": 1, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
        }] });
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let sent = agent.post(&url).header("authorization", format!("Bearer {token}")).send_json(body);
        sent.is_ok_and(|response| response.status() == 200)
    };
    // Reporters go on until the service is gone; what it acknowledged is counted.
    let acknowledged = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for reporter in 0..4_u32 {
            let (acknowledged, report) = (&acknowledged, &report);
            scope.spawn(move || {
                (reporter * 1_000_000..(reporter + 1) * 1_000_000).take_while(|number| report(*number)).for_each(|_| {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                });
            });
        }
        let deadline = Instant::now() + PATIENCE;
        while acknowledged.load(Ordering::Relaxed) < 40 && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        let (status, told) = serving.stop(Signal::SIGTERM);
        assert!(status.success(), "{told}");
    });
    let acknowledged = acknowledged.into_inner();
    assert!(acknowledged >= 40, "reports are acknowledged before the stop");
    let stored: i64 =
        sqlx::query_scalar("select count(*) from public.task_usage where model = 'gpt'").fetch_one(&database.pool).await.unwrap();
    // A report that was committed and whose answer was cut off may be there as well, at most one a reporter.
    assert!((acknowledged..=acknowledged + 4).contains(&usize::try_from(stored).unwrap()), "{acknowledged} {stored}");
}
