//! What clients see of it: whom they speak to, in what protocol, and when that changes.
use super::*;
use crate::clock::Clock;
use crate::http::App;
use crate::http::limits::Limits;
use crate::http::server::serve;
use crate::http::testing::app;
use crate::testing::{self, TestDatabase};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

/// What clients of these tests may make the service wait for.
const SHORT: Duration = Duration::from_millis(200);
/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// A pair of files, and a service that speaks TLS with it.
struct Bench {
    database: TestDatabase,
    directory: TempDir,
    tls: Tls,
}

impl Bench {
    async fn new(pair: &CertifiedKey<rcgen::KeyPair>) -> Self {
        let (database, directory) = (testing::database().await, tempfile::tempdir().unwrap());
        let files = Files { certificate: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
        put(&files, pair);
        Self { database, directory, tls: Tls::load(files).await.unwrap() }
    }

    fn app(&self) -> App {
        app(&self.database, &Clock::system())
    }

    /// Serves until the token is cancelled.
    async fn serve(&self, app: App) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = TaskTracker::new().spawn(serve(listener, app, Some(self.tls.clone()), stop.clone()));
        (address, stop, serving)
    }
}

fn put(files: &Files, pair: &CertifiedKey<rcgen::KeyPair>) {
    std::fs::write(&files.certificate, pair.cert.pem()).unwrap();
    std::fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
}

/// A client that trusts `pair` alone, and offers these protocols.
async fn connect(
    address: SocketAddr,
    pair: &CertifiedKey<rcgen::KeyPair>,
    protocols: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// Asks, and reads the status line of the answer and whatever came with it.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(GET).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn it_is_spoken_and_nothing_else_is() {
    let pair = certificate();
    let bench = Bench::new(&pair).await;
    let (address, ..) = bench.serve(bench.app()).await;
    let mut both = connect(address, &pair, &[b"h2", PROTOCOL]).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(PROTOCOL));
    assert!(ask(&mut both).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let mut silent = connect(address, &pair, &[]).await.unwrap();
    assert!(ask(&mut silent).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(connect(address, &pair, &[b"h2"]).await.is_err(), "who speaks another protocol is not misled");
    assert!(connect(address, &certificate(), &[]).await.is_err(), "it is another's certificate that is trusted");

    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(GET).await.unwrap();
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("the service closes the connection"));
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "no answer is given in the clear");
}

#[tokio::test]
async fn a_new_pair_is_for_new_connections_and_keeps_the_old_ones() {
    let (old, new) = (certificate(), certificate());
    let bench = Bench::new(&old).await;
    let (address, ..) = bench.serve(bench.app()).await;
    let mut before = connect(address, &old, &[PROTOCOL]).await.unwrap();
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
    put(&bench.tls.files, &new);
    bench.tls.reload().await;
    assert!(connect(address, &old, &[PROTOCOL]).await.is_err());
    let mut after = connect(address, &new, &[PROTOCOL]).await.unwrap();
    assert!(ask(&mut after).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn files_are_looked_at_without_being_told_to() {
    let (old, new) = (certificate(), certificate());
    let bench = Bench::new(&old).await;
    let (address, ..) = bench.serve(bench.app()).await;
    let looking = bench.tls.clone();
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    drop(TaskTracker::new().spawn(async move { looking.keep_fresh(&stop).await }));
    put(&bench.tls.files, &new);
    let taken_up = async {
        while connect(address, &new, &[PROTOCOL]).await.is_err() {
            sleep(SHORT / 10).await;
        }
    };
    timeout(PATIENCE, taken_up).await.unwrap();
    drop(guard);
}

#[tokio::test]
async fn a_bad_pair_takes_nobodys_place() {
    let (old, other) = (certificate(), certificate());
    let bench = Bench::new(&old).await;
    let files = bench.tls.files.clone();
    let (address, ..) = bench.serve(bench.app()).await;
    let (cert, key) = (other.cert.pem(), old.signing_key.serialize_pem());
    for (certificate, key, wrong) in [
        (cert.as_str(), key.as_str(), "cannot be used together"),
        (cert.as_str(), "", "holds no private key"),
        ("", key.as_str(), "holds no certificate"),
        (cert.as_str(), "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n", "cannot be understood"),
    ] {
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        bench.tls.reload().await;
        assert!(connect(address, &old, &[PROTOCOL]).await.is_ok(), "{wrong}");
        let told = Tls::load(files.clone()).await.unwrap_err().to_string();
        assert!(told.contains(wrong) && told.contains(bench.directory.path().to_str().unwrap()), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    std::fs::remove_file(&files.key).unwrap();
    bench.tls.reload().await;
    assert!(connect(address, &old, &[PROTOCOL]).await.is_ok());
    assert!(Tls::load(files).await.unwrap_err().to_string().contains("tls.key cannot be read"));
}

#[tokio::test]
async fn handshakes_that_never_end_hold_nobody_up() {
    let pair = certificate();
    let bench = Bench::new(&pair).await;
    let limits = Limits { connections_max: 3, handshake_timeout: SHORT, ..Limits::default() };
    let (address, ..) = bench.serve(App { limits, ..bench.app() }).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut dripping = TcpStream::connect(address).await.unwrap();
    let mut talking = connect(address, &pair, &[PROTOCOL]).await.unwrap();
    // A record that says that it is long, and comes byte by byte.
    dripping.write_all(&[0x16, 0x03, 0x01, 0x3f, 0xff]).await.unwrap();
    let drip = async {
        while dripping.write_all(b"x").await.is_ok() {
            sleep(SHORT / 20).await;
        }
    };
    let (answer, dripped) = tokio::join!(ask(&mut talking), timeout(PATIENCE, drip));
    assert!(answer.starts_with("HTTP/1.1 200") && dripped.is_ok());
    // All three places were taken; one that has been freed is given to the next.
    let mut next = timeout(PATIENCE, connect(address, &pair, &[PROTOCOL])).await.unwrap().unwrap();
    assert!(ask(&mut next).await.starts_with("HTTP/1.1 200"));
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0; 64])).await.unwrap().unwrap_or(0), 0, "it is closed");
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_waits_for_no_handshake() {
    let pair = certificate();
    let bench = Bench::new(&pair).await;
    let token = crate::http::testing::admin_token(&bench.database).await;
    let (address, stop, serving) = bench.serve(bench.app()).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut client = connect(address, &pair, &[PROTOCOL]).await.unwrap();
    let head = format!(
        "PUT /v1/workspaces/0b1f3b0e-5b0a-4f4e-8c53-0a9f5f0c1d11 HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stop.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    client.write_all(br#"{"name":"W"}"#).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("the end is said, not only made");
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    drop(silent);
}
