//! `tallybook serve` with a certificate: it says so, takes up a new one, and keeps the old one where the new one is bad.
use super::Authority;
use crate::cli::{on, transcript};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tallybook::testing;

/// How long a service may take for what it does at once when the machine is not busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often to look for what is waited for.
const POLL: Duration = Duration::from_millis(20);

fn put(directory: &Path, (certificate, key): &(String, String)) {
    std::fs::write(directory.join("tls.crt"), certificate).unwrap();
    std::fs::write(directory.join("tls.key"), key).unwrap();
}

/// The status line of `GET /healthz`, asked by a client that trusts `authority` alone.
fn ask(address: SocketAddr, authority: &Authority) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(client, TcpStream::connect(("127.0.0.1", address.port()))?);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// Killed when the test ends early.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn certificates_come_and_go_while_it_runs() {
    let database = testing::database().await;
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    put(directory.path(), &old.sign("localhost"));
    let mut command = on(&database, "serve --listen 0.0.0.0:0");
    command.env("TALLYBOOK_TLS_CERT", directory.path().join("tls.crt"));
    command.env("TALLYBOOK_TLS_KEY", directory.path().join("tls.key"));
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let stderr = child.0.stderr.take().unwrap();
    let log = std::thread::spawn(|| io::read_to_string(stderr).unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let announced = lines.next().unwrap().unwrap();
    let address: SocketAddr = announced.split_once("https://").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(ask(address, &old).unwrap(), "HTTP/1.1 200 OK");
    assert!(ask(address, &new).is_err(), "it is not the other's certificate");

    let pid = Pid::from_raw(child.0.id().try_into().unwrap());
    let wait_for = |authority: &Authority| {
        let began = Instant::now();
        while ask(address, authority).is_err() {
            assert!(began.elapsed() < PATIENCE, "the new certificate is not taken up");
            std::thread::sleep(POLL);
        }
    };
    put(directory.path(), &new.sign("localhost"));
    kill(pid, Signal::SIGHUP).unwrap();
    wait_for(&new);
    assert!(ask(address, &old).is_err());
    // Nobody says that there is another one: it is seen.
    put(directory.path(), &old.sign("localhost"));
    wait_for(&old);
    // A certificate with another's key.
    let (certificate, _) = new.sign("localhost");
    std::fs::write(directory.path().join("tls.crt"), certificate).unwrap();
    kill(pid, Signal::SIGHUP).unwrap();
    assert_eq!(ask(address, &old).unwrap(), "HTTP/1.1 200 OK");

    kill(pid, Signal::SIGTERM).unwrap();
    assert!(child.0.wait().unwrap().success());
    let told = log.join().unwrap();
    assert!(told.contains("new connections get the certificate as it is now"), "{told}");
    assert!(told.contains("the certificate stays the one that it was") && told.contains("cannot be used together"), "{told}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_said_at_the_start() {
    let database = testing::database().await;
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ((certificate, _), (_, key)) = (authority.sign("localhost"), authority.sign("localhost"));
    put(directory.path(), &(certificate, key));
    let (cert, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let start = |options: &[&str]| {
        let mut command = on(&database, "serve --log-level off --listen 127.0.0.1:0");
        transcript(command.args(options)).replace(directory.path().to_str().unwrap(), "DIRECTORY")
    };
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    insta::assert_snapshot!(start(&["--tls-cert", cert, "--tls-key", key]), @"
    --- standard error
    tallybook: the certificate DIRECTORY/tls.crt and the key DIRECTORY/tls.key cannot be used together: keys may not be consistent: KeyMismatch
    --- exit 2
    ");
    insta::assert_snapshot!(start(&["--tls-cert", cert]), @"
    --- standard error
    tallybook: TLS takes both a certificate and its key: give --tls-cert and --tls-key (TALLYBOOK_TLS_CERT, TALLYBOOK_TLS_KEY)
    --- exit 2
    ");
}
