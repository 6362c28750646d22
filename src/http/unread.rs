//! Bodies that were refused unread: a connection on which one is still to come cannot be used again, and a client that sends
//! its next request there would see it break instead of an answer.
//!
//! What is small and on its way is read off, so that the connection stays; else the answer says that it is closed.
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// Bytes that are read off.
const BYTES_MAX: usize = 64 * 1024;
/// How long they may take.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of a request, which stays here when whoever was to read it lets it go.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    body: Arc<Mutex<Body>>,
    /// The client sends the body only when it is asked to.
    is_awaited: bool,
}

impl Kept {
    /// Keeps the body of `request`, which it gives back.
    pub(super) fn of(request: Request) -> (Request, Self) {
        let is_awaited = !request.headers().contains_key(EXPECT);
        let (parts, body) = request.into_parts();
        let kept = Self { body: Arc::new(Mutex::new(body)), is_awaited };
        (Request::from_parts(parts, Body::new(kept.clone())), kept)
    }

    /// Reads off what is left. Returns whether the connection may be used again.
    pub(super) async fn clear(mut self) -> bool {
        self.is_end_stream() || (self.is_awaited && timeout(READ_TIMEOUT, self.read_off()).await == Ok(true))
    }

    async fn read_off(&mut self) -> bool {
        let mut left = BYTES_MAX;
        while let Some(frame) = self.frame().await {
            let read = frame.ok().and_then(|frame| left.checked_sub(frame.data_ref().map_or(0, Bytes::len)));
            let Some(rest) = read else { return false };
            left = rest;
        }
        true
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn may_be_used_again(body: Body, expects: bool) -> bool {
        let request = Request::builder().uri("/");
        let request = if expects { request.header(EXPECT, "100-continue") } else { request };
        let (request, kept) = Kept::of(request.body(body).unwrap());
        drop(request);
        kept.clear().await
    }

    #[tokio::test]
    async fn what_is_small_is_read_off_and_what_is_not_closes_the_connection() {
        assert!(may_be_used_again(Body::empty(), false).await);
        assert!(may_be_used_again(Body::from(vec![0; BYTES_MAX]), false).await);
        assert!(!may_be_used_again(Body::from(vec![0; BYTES_MAX + 1]), false).await);
        assert!(!may_be_used_again(Body::from("{}"), true).await, "it was not asked for");
        let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1_024]));
        assert!(!may_be_used_again(Body::from_stream(endless), false).await);
    }

    #[tokio::test]
    async fn what_does_not_come_is_not_waited_for() {
        let silent = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(!may_be_used_again(silent, false).await);
    }
}
