//! Traces, in builds that can make them: what a collector gets of a running service.
use super::serve::Serving;
use super::{on, transcript};
use nix::sys::signal::Signal;
use sqlx::Executor;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use tallybook::testing;

/// A path, and the body that was sent there.
type Received = (String, Vec<u8>);

/// A collector that keeps what it gets.
struct Collector {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let collector = Self { address: listener.local_addr().unwrap(), got: Arc::default() };
        let got = Arc::clone(&collector.got);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let got = Arc::clone(&got);
                std::thread::spawn(move || while take(&stream, &got).is_some() {});
            }
        });
        collector
    }

    /// Whether any request's body holds the text: strings are as they are in what travels.
    fn heard(&self, text: &[u8]) -> bool {
        self.got.lock().unwrap().iter().any(|(_, body)| body.windows(text.len()).any(|part| part == text))
    }
}

/// Takes one request and thanks for it; none at the end of the connection.
fn take(stream: &TcpStream, got: &Mutex<Vec<(String, Vec<u8>)>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    let mut header = String::new();
    while reader.read_line(&mut header).ok()? > 2 {
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        header.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    got.lock().unwrap().push((line.trim().to_owned(), body));
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_transactions_and_folds_reach_the_collector_in_the_callers_trace() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let made = on(&database, "token create --name ci --scope ingest --scope read --workspace one").output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let collector = Collector::start();
    let mut command = on(&database, "serve --listen 127.0.0.1:0");
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address))
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=the-test");
    let serving = Serving::start(&mut command);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let bearer = format!("Bearer {token}");
    let read = agent
        .get(format!("http://{}/v1/tasks/00000000-0000-4000-8000-000000000004/usage", serving.address))
        .header("authorization", &bearer)
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(read.call().unwrap().status(), 200);
    let body = serde_json::json!({ "reports": [{
        "task_id": "00000000-0000-4000-8000-000000000004", "provider": "openai", "model": "a-model", "event_key": "1",
        "input_tokens": 1, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0,
    }] });
    let sent = agent.post(format!("http://{}/v1/usage", serving.address)).header("authorization", &bearer).send_json(body);
    assert_eq!(sent.unwrap().status(), 200);
    serving.wait_for_metric("tallybook_service_pending_rows{kind=\"usage\"} 0");
    let (status, log) = serving.stop(Signal::SIGTERM);
    assert!(status.success(), "{log}");
    let requests: Vec<String> = collector.got.lock().unwrap().iter().map(|(line, _)| line.clone()).collect();
    assert!(!requests.is_empty() && requests.iter().all(|line| line == "POST /v1/traces HTTP/1.1"), "{requests:?} {log}");
    for text in [
        "GET /v1/tasks/{id}/usage",
        "POST /v1/usage",
        "snapshot",
        "store reports",
        "fold",
        "verify slice",
        "service.name",
        "the-test",
    ] {
        assert!(collector.heard(text.as_bytes()), "{text} is missing; {log}");
    }
    let trace = [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
    assert!(collector.heard(&trace), "the read goes on with the trace of its caller");
    for secret in [token.as_str(), "a-model"] {
        assert!(!collector.heard(secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_nothing_is_sent_unasked() {
    let database = testing::database().await;
    let mut command = on(&database, "status");
    command.env("OTEL_TRACES_EXPORTER", "otlp").env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let told = transcript(&mut command);
    assert!(told.contains("OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\"") && told.ends_with("--- exit 2\n"), "{told}");
    let collector = Collector::start();
    let mut command = on(&database, "status");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address)).env("OTEL_SDK_DISABLED", "true");
    assert!(transcript(&mut command).ends_with("--- exit 0\n"));
    assert!(collector.got.lock().unwrap().is_empty());
}
