//! An HTTP client on one connection that stays open: as light as can be, since thousands of them share the machine with what is measured.
use super::Error;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A connection to a service.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    authorization: String,
    host: String,
    /// Moves its bytes; ends with the client.
    _connection: JoinSet<()>,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, token: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let mut moving = JoinSet::new();
        // A connection that breaks is told by the request that it breaks.
        moving.spawn(async move { drop(connection.await) });
        Ok(Self { sender, authorization: format!("Bearer {token}"), host: address.to_string(), _connection: moving })
    }

    /// The body of an answer that must be 200.
    pub(super) async fn get(&mut self, path: &str) -> Result<Bytes, Error> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        if answer.status == 200 { Ok(answer.body) } else { Err(refused(path, &answer)) }
    }

    /// Whatever is answered to a body of JSON.
    pub(super) async fn post(&mut self, path: &str, body: Bytes) -> Result<Answer, Error> {
        self.send(Method::POST, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer, Error> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(failed)?;
        self.sender.ready().await.map_err(failed)?;
        let response = self.sender.send_request(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(failed)?.to_bytes();
        Ok(Answer { status, body })
    }
}

/// Why an answer is not what was asked for.
pub(super) fn refused(path: &str, answer: &Answer) -> Error {
    Error::Http(format!("{path} was answered with {}: {}", answer.status, String::from_utf8_lossy(&answer.body)))
}

fn failed(error: impl Display) -> Error {
    Error::Http(error.to_string())
}
