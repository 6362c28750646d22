//! The fleet's HTTP client: a request at a time, and a clear word on whether to send it again.
use super::call::{Call, Method};
use crate::access::Secret;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// How long an answer may take: more than the service gives itself.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// Speaks to one service with one token.
#[derive(Clone)]
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    authorization: String,
}

impl std::fmt::Debug for Client {
    /// Never shows the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What became of the reports of a call; nothing of calls that carry none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) created: u64,
    pub(super) replaced: u64,
    pub(super) unchanged: u64,
    pub(super) stale: u64,
}

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody answered, or not for now; sending it again is safe.
    #[error("the service does not answer: {0}")]
    Away(String),
    /// The service will not do this.
    #[error("{call} was refused with {status}: {reason}")]
    Refused {
        /// Method and path.
        call: String,
        /// The HTTP status.
        status: u16,
        /// What the service said.
        reason: String,
    },
}

/// The parts of a problem document that tell what is wrong.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
}

impl Client {
    /// A client of the service at `address`.
    pub(super) fn new(address: SocketAddr, secret: &Secret) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // The service is on this machine, whatever proxy the environment names.
            .proxy(None)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        let authorization = format!("Bearer {}", secret.reveal());
        Self { agent: config.into(), base: format!("http://{address}"), authorization }
    }

    /// Sends a call and waits for its answer, on a thread that may wait.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let client = self.clone();
        match tokio::task::spawn_blocking(move || client.send_and_wait(&call)).await {
            Ok(answer) => answer,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn send_and_wait(&self, call: &Call) -> Result<Answer, Failure> {
        let url = format!("{}{}", self.base, call.path);
        let (agent, token) = (&self.agent, &self.authorization);
        let (name, sent) = match &call.method {
            Method::Put(body) => ("PUT", agent.put(url).header("authorization", token).send_json(body)),
            Method::Post(body) => ("POST", agent.post(url).header("authorization", token).send_json(body)),
            Method::Delete => ("DELETE", agent.delete(url).header("authorization", token).call()),
        };
        let away = |error: ureq::Error| Failure::Away(error.to_string());
        let mut response = sent.map_err(away)?;
        let status = response.status();
        if status.is_success() {
            return if call.reports == 0 {
                // Read to its end, so that the connection can be used again.
                response.body_mut().read_to_vec().map(|_| Answer::default()).map_err(away)
            } else {
                response.body_mut().read_json().map_err(away)
            };
        }
        let text = response.body_mut().read_to_string().map_err(away)?;
        // An answer that is no problem document tells less, and is refused all the same.
        let Problem { code, detail } = serde_json::from_str(&text).unwrap_or_default();
        let reason = format!("{code}: {detail}");
        if status.is_server_error() {
            return Err(Failure::Away(reason));
        }
        Err(Failure::Refused { call: format!("{name} {}", call.path), status: status.as_u16(), reason })
    }
}
