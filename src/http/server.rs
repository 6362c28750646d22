//! Connections: accepted, limited, and brought to a good end.
//!
//! Axum's own `serve` knows neither header timeouts nor a bound on connections, so this is hyper, directly.
//! HTTP/1.1 only; in the clear, or by TLS ([`super::tls`]). A handshake is the business of its own connection's task.
use super::limits::{HEAD_BYTES_MAX, Limits};
use super::tls::Tls;
use super::{App, router};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long what is in flight may take after the service was told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system refused a connection (too many files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `stop` is cancelled; then accepts nothing more, finishes what is in flight, and returns.
pub async fn serve(listener: TcpListener, app: App, tls: Option<Tls>, stop: CancellationToken) -> io::Result<()> {
    let connections = TaskTracker::new();
    let limits = app.limits;
    let router = router(app);
    let places = Arc::new(Semaphore::new(limits.connections_max));
    while let Some((stream, place)) = next(&listener, &places, &stop).await {
        let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
        drop(connections.spawn(async move {
            welcome(stream, tls, router, limits, stop).await;
            drop(place);
        }));
    }
    drop(listener);
    connections.close();
    if timeout(SHUTDOWN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "gave up on requests that did not end");
    }
    Ok(())
}

/// The next connection and its place; `None` once the service is to stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accept = async {
        loop {
            let place = Arc::clone(places).acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, place)),
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accept).await.flatten()
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Sees a connection through, from its first byte to its end.
async fn welcome(stream: TcpStream, tls: Option<Tls>, router: Router, limits: Limits, stop: CancellationToken) {
    if let Err(error) = prepare(&stream, limits) {
        tracing::debug!(%error, "a connection keeps the system's settings");
    }
    let Some(tls) = tls else { return converse(stream, router, limits, stop).await };
    let handshake = timeout(limits.handshake_timeout, tls.acceptor().accept(stream));
    match stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => converse(stream, router, limits, stop).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, "a client did not come to terms on TLS"),
        Some(Err(_)) => tracing::debug!("a client took too long to come to terms on TLS"),
        None => {}
    }
}

/// Answers the requests of one connection; after `stop`, only the one in flight.
async fn converse<S>(stream: S, router: Router, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Packets leave at once, and a client that does not read its answer loses the connection: the system notices that best.
fn prepare(stream: &TcpStream, limits: Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(limits.unread_timeout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::http::testing::app;
    use crate::testing;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const HEAD: &[u8] = b"PUT /v1/workspaces/0b1f3b0e-5b0a-4f4e-8c53-0a9f5f0c1d11 HTTP/1.1\r\nhost: t\r\n";

    #[tokio::test]
    async fn what_is_in_flight_is_finished_and_nothing_more_accepted() {
        let database = testing::database().await;
        let token = crate::http::testing::admin_token(&database).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let server = tracker.spawn(serve(listener, app(&database, &Clock::system()), None, stop.clone()));

        let body = br#"{"name":"W"}"#;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(HEAD).await.unwrap();
        let rest = format!(
            "authorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        client.write_all(rest.as_bytes()).await.unwrap();
        // "100 Continue" says that the handler waits for the body: the request is in flight.
        let mut answer = [0; 25];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        stop.cancel();
        // The listener is gone once connecting fails; only then is the body sent.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        client.write_all(body).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_idle_service_ends_at_once() {
        let database = testing::database().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let idle = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stop = CancellationToken::new();
        stop.cancel();
        timeout(Duration::from_secs(5), serve(listener, app(&database, &Clock::system()), None, stop)).await.unwrap().unwrap();
        drop(idle);
    }
}
