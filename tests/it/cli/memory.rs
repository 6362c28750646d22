//! What clients send does not decide how much memory the service takes.
use super::on;
use super::serve::Serving;
use sqlx::Executor;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tallybook::testing;

const MIB: usize = 1024 * 1024;
/// The bodies of all requests together may take 256 MiB, and a buffer that grows is at most twice as long as what is in it.
const BODIES_MAX: usize = 2 * 256 * MIB;
/// Whatever else a service takes while it answers.
const ELSE_MAX: usize = 192 * MIB;
const BODY: usize = 16 * MIB;
/// Together they offer four times what there is room for.
const CLIENTS: usize = 64;
/// A client that has not been answered by then is not going to be.
const PATIENCE: Duration = Duration::from_mins(2);

/// Sends a request that announces `length` bytes, and `body` of them; gives the first line of the answer.
fn post(address: SocketAddr, token: &str, length: usize, body: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "POST /v1/usage HTTP/1.1\r\nhost: t\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    // Who is refused early may find that nobody reads any more, and still be answered.
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).or_else(|error| if answer.is_empty() { Err(error) } else { Ok(0) })?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

/// The most memory that a process has taken so far, in bytes.
fn peak(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

/// A body of the largest size: `head`, `again` as often as it fits, `tail`.
fn filled(head: &str, again: &str, tail: &str) -> Vec<u8> {
    let times = (BODY - head.len() - tail.len()) / again.len();
    [head, &again.repeat(times), tail].concat().into_bytes()
}

async fn serving() -> (testing::TestDatabase, Serving, String) {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let made = on(&database, "token create --name ci --scope ingest --workspace one").output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let serving = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0"));
    (database, serving, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_take_no_more_than_their_room() {
    let (_database, serving, token) = serving().await;
    let body = vec![b' '; BODY - 1];
    let before = peak(serving.process());
    let refused = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| post(serving.address, &token, BODY, &body))).collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        answers.filter(|answer| answer.as_ref().is_ok_and(|line| line.contains("503"))).count()
    });
    let grown = peak(serving.process()) - before;
    assert!(grown < BODIES_MAX + ELSE_MAX, "{} MiB", grown / MIB);
    assert!(refused > 0, "there was room for all of them: the test offers too little");
    serving.wait_for("/healthz", 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_unfold_take_no_more_than_others() {
    let (_database, serving, token) = serving().await;
    let before = peak(serving.process());
    for (body, status) in [
        (filled(r#"{"reports":["#, "{},", "{}]}"), 413),
        (filled(r#"{"reports":["#, "[", ""), 400),
        (filled(r#"{"reports":[{"input_tokens":1"#, "0", "}]}"), 422),
        (filled(r#"{"reports":[{"model":""#, "\\u0001", r#""}]}"#), 422),
        (filled(r#"{"reports":[{"model":["#, "[],", "[]]}]}"), 422),
        (filled(r#"{"reports":[{"task":{"agent":{"#, r#""name":"x","#, r#""name":"x"}}}]}"#), 422),
        (filled("{", r#""x":[],"#, r#""x":[]}"#), 400),
    ] {
        let answer = post(serving.address, &token, body.len(), &body).unwrap();
        let start = String::from_utf8_lossy(&body[..30]).into_owned();
        assert!(answer.contains(&format!(" {status} ")), "{start}: {answer}");
        let grown = peak(serving.process()) - before;
        assert!(grown < ELSE_MAX, "{start}: {} MiB", grown / MIB);
    }
}
