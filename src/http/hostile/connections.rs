//! Connections as attackers and broken clients use them: slow, idle, endless, and with heads that two readers could read in two
//! ways. None holds another client up, and none makes the service fail.
use super::{Bench, for_all};
use crate::http::App;
use crate::http::limits::Limits;
use crate::http::server::serve;
use proptest::prelude::*;
use socket2::SockRef;
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What clients of these tests may make the service wait for.
const SHORT: Duration = Duration::from_millis(200);
/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
const GET: &str = "GET /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n";

fn impatient() -> Limits {
    Limits { head_timeout: SHORT, body_timeout: SHORT, unread_timeout: SHORT, ..Limits::default() }
}

/// A service that listens until the guard is dropped.
async fn listen(app: App) -> (SocketAddr, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    drop(TaskTracker::new().spawn(serve(listener, app, None, stop.clone())));
    (address, stop.drop_guard())
}

async fn connect(address: SocketAddr, said: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(said.as_ref()).await.unwrap();
    stream
}

/// All that comes until the service closes the connection.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection that is reset has told all that it will tell.
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the service closes the connection"));
    String::from_utf8_lossy(&answer).into_owned()
}

async fn ask(address: SocketAddr, said: impl AsRef<[u8]>) -> String {
    read_all(&mut connect(address, said).await).await
}

async fn assert_served(address: SocketAddr) {
    let answer = ask(address, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
}

#[tokio::test]
async fn heads_that_never_end_hold_nobody_up() {
    let bench = Bench::new().await;
    let app = App { limits: Limits { connections_max: 3, ..impatient() }, ..bench.app.clone() };
    let (address, _stop) = listen(app).await;
    let mut silent = connect(address, "").await;
    let mut stuck = connect(address, "GET /healthz HTTP/1.1\r\nhost:").await;
    let mut dripping = connect(address, "GET /healthz HTTP/1.1\r\nx: ").await;
    let drip = async {
        while dripping.write_all(b"x").await.is_ok() {
            sleep(SHORT / 20).await;
        }
    };
    // All three places are taken.
    let cut_off = async { timeout(PATIENCE, drip).await.expect("it is cut off") };
    tokio::join!(assert_served(address), cut_off);
    assert_eq!(read_all(&mut silent).await, "");
    assert!(!read_all(&mut stuck).await.contains("200 OK"));
}

#[tokio::test]
async fn idle_connections_are_many_and_do_not_stay() {
    let bench = Bench::new().await;
    let (address, _stop) = listen(App { limits: impatient(), ..bench.app.clone() }).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(connect(address, GET.replace("connection: close\r\n", "")).await);
    }
    assert_served(address).await;
    for stream in &mut idle {
        let answer = read_all(stream).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 1, "kept alive, then closed");
    }
}

#[tokio::test]
async fn bodies_that_never_end_are_given_up_and_hold_nobody_up() {
    let bench = Bench::new().await;
    let (address, _stop) = listen(App { limits: impatient(), ..bench.app.clone() }).await;
    let head = format!(
        "POST /v1/usage HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n",
        bench.admin
    );
    let mut short = connect(address, format!("{head}content-length: 100\r\n\r\n{{")).await;
    let mut silent = connect(address, format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
    let dripping = connect(address, format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
    let (mut answer, mut dripping) = dripping.into_split();
    let drip = async {
        while dripping.write_all(b"1\r\n \r\n").await.is_ok() {
            sleep(SHORT / 20).await;
        }
    };
    assert_served(address).await;
    let mut told = String::new();
    let (read, dripped) = tokio::join!(timeout(PATIENCE, answer.read_to_string(&mut told)), timeout(PATIENCE, drip));
    // It may have been cut off while it was still sending.
    drop(read.expect("the connection is closed"));
    dripped.expect("nobody listens any more");
    for answer in [read_all(&mut short).await, read_all(&mut silent).await] {
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n") && answer.contains("\"body_timeout\""), "{answer:?}");
    }
    assert_eq!(bench.app.body_room.left(), Limits::default().bodies_bytes_max);
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_place() {
    let bench = Bench::new().await;
    let app = App { limits: Limits { connections_max: 1, ..impatient() }, ..bench.app.clone() };
    let (address, _stop) = listen(app).await;
    let deaf = TcpStream::connect(address).await.unwrap();
    SockRef::from(&deaf).set_recv_buffer_size(4_096).unwrap();
    let (_unread, mut deaf) = deaf.into_split();
    // Far more than any buffer between us holds.
    deaf.write_all("GET /openapi.json HTTP/1.1\r\nhost: t\r\n\r\n".repeat(200).as_bytes()).await.unwrap();
    assert_served(address).await;
}

/// A refusal comes before the body has been looked at; the connection must be good for the next request all the same.
#[tokio::test]
async fn a_refused_body_that_comes_late_does_not_break_the_next_request() {
    let bench = Bench::new().await;
    let (address, _stop) = listen(bench.app.clone()).await;
    let (head, body) = ("POST /v1/usage HTTP/1.1\r\nhost: t\r\ncontent-length: 14\r\n\r\n", "{\"reports\":[]}");
    for _ in 0..20 {
        let mut stream = connect(address, head).await;
        // The service has every chance to answer without it.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        stream.write_all(body.as_bytes()).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        assert_eq!(statuses(&read_all(&mut stream).await), [401, 200]);
    }
}

/// Heads that are wrong, or that a proxy before us could read otherwise than we do.
const ODD_HEADS: [&str; 30] = [
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: 4, 5\r\n\r\nabcde",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: +4\r\n\r\nabcd",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: 0x4\r\n\r\nabcd",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: -1\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: 99999999999999999999\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ncontent-length: \r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ntransfer-encoding: \u{b}chunked\r\n\r\n0\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\nx: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "POST /healthz HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    "POST /healthz HTTP/1.0\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /healthz HTTP/1.1\nhost: t\nconnection: close\n\n",
    "GET /healthz HTTP/1.1\r\nhost: t\rx: y\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nho\0st: t\r\n\r\n",
    "GET /healthz HTTP/1.1\r\n: t\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: t\r\nhost: u\r\nconnection: close\r\n\r\n",
    "GET http://elsewhere/healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    "CONNECT elsewhere:443 HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n",
    "GET * HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    "GET /healthz\r\n\r\n",
    "GET /healthz HTTP/9.9\r\nhost: t\r\n\r\n",
    "GET /heal thz HTTP/1.1\r\nhost: t\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: t\r\nupgrade: websocket, h2c\r\nconnection: upgrade, close\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
];

/// The statuses of all answers that came.
fn statuses(answers: &str) -> Vec<u16> {
    answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

#[tokio::test]
async fn odd_heads_have_one_answer_at_most_and_it_is_no_failure_of_ours() {
    let bench = Bench::new().await;
    let (address, _stop) = listen(App { limits: impatient(), ..bench.app.clone() }).await;
    let many = format!("GET /healthz HTTP/1.1\r\nhost: t\r\n{}connection: close\r\n\r\n", "x: y\r\n".repeat(1_000));
    let long = format!("GET /healthz HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024));
    let far = format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "y".repeat(1024 * 1024));
    for said in ODD_HEADS.into_iter().chain([many.as_str(), &long, &far]) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be refused before all of it is said.
        drop(stream.write_all(said.as_bytes()).await);
        let answers = statuses(&read_all(&mut stream).await);
        let shown = &said[..said.len().min(200)];
        assert!(answers.len() <= 1 && answers.iter().all(|status| *status < 500), "{shown:?}: {answers:?}");
    }
    assert_served(address).await;
}

#[tokio::test]
async fn what_hides_in_a_body_is_never_taken_for_a_request() {
    let bench = Bench::new().await;
    let (address, _stop) = listen(App { limits: impatient(), ..bench.app.clone() }).await;
    let hidden = "GET /metrics HTTP/1.1\r\nhost: t\r\n\r\n";
    let body = format!("0\r\n\r\n{hidden}");
    let length = body.len();
    for framing in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        format!("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
    ] {
        let answers = ask(address, format!("POST /healthz HTTP/1.1\r\nhost: t\r\n{framing}\r\n{body}")).await;
        assert_eq!(statuses(&answers).len(), 1, "{framing:?}: {answers}");
        assert!(!answers.contains("tallybook_http_requests"), "{framing:?}: {answers}");
    }
}

#[test]
fn any_bytes_on_a_connection_are_survived() {
    let service = OnceCell::new();
    let line = "(GET|POST|PUT|\\PC{0,5}) /[!-~]{0,20} HTTP/1\\.[01]\r\n".prop_map(String::into_bytes);
    let header = "(host|content-length|transfer-encoding|expect|[a-z]{1,9}): ?[ -~]{0,12}\r\n".prop_map(String::into_bytes);
    let any = prop::collection::vec(any::<u8>(), 0..100);
    let parts = (prop::option::of(line), prop::collection::vec(header, 0..4), any.clone(), any);
    for_all(&parts, async |bench: &Bench, (line, headers, mess, rest)| {
        if service.get().is_none() {
            let _ = service.set(listen(App { limits: impatient(), ..bench.app.clone() }).await);
        }
        let (address, _) = service.get().unwrap();
        let said = [line.unwrap_or_default(), headers.concat(), mess, b"\r\n\r\n".to_vec(), rest].concat();
        let mut stream = TcpStream::connect(address).await.unwrap();
        drop(stream.write_all(&said).await);
        // Nothing more will come: whatever waits for it ends.
        drop(stream.shutdown().await);
        let answers = statuses(&read_all(&mut stream).await);
        prop_assert!(answers.iter().all(|status| *status < 500), "{:?}: {:?}", String::from_utf8_lossy(&said), answers);
        Ok(())
    });
}
