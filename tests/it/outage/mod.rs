//! A database that is stopped under the service, in each way in which it can be gone: requests are refused with a word on when
//! to come again, and what was acknowledged is there when it comes back.
pub(crate) mod cluster;
pub(crate) mod reporters;

use cluster::{Cluster, Stop};
use reporters::Reporters;
use serde_json::Value;
use std::time::{Duration, Instant};
use tallybook::access::{self, New, Scope};
use tallybook::audit::Actor;
use tallybook::clock::Clock;
use tallybook::config::Place;
use tallybook::rollup::verify;
use tallybook::service::{Service, Settings};

/// Much longer than anything here takes when the machine is not busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// How often to look for what is waited for.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// Reporters at once.
const REPORTERS: usize = 6;

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    retry_after: Option<String>,
    content_type: String,
    pub(crate) body: Value,
}

impl Answer {
    fn of(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (retry_after, content_type) = (header("retry-after"), header("content-type").unwrap_or_default());
        Self { status: response.status().as_u16(), retry_after, content_type, body: response.body_mut().read_json().unwrap() }
    }

    /// It says that the database is away, and when to come again.
    fn assert_away(&self, what: &str) {
        assert_eq!((self.status, self.content_type.as_str()), (503, "application/problem+json"), "{what}: {self:?}");
        assert!(self.retry_after.as_ref().is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{what}: {self:?}");
        assert!(self.body["code"].is_string() && self.body["detail"].is_string(), "{what}: {self:?}");
    }
}

/// A client with a token.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
}

impl Client {
    /// With a token that may do everything.
    pub(crate) async fn of(service: &Service) -> Self {
        let new = New { name: "test".into(), workspace: None, scopes: vec![Scope::Admin], expires_at: None };
        let (secret, _) = access::create(&service.pool, &Clock::system(), &Actor::cli(), new).await.unwrap();
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        Self { agent, base: format!("http://{}", service.address), token: secret.reveal().to_owned() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base)).header("authorization", format!("Bearer {}", self.token));
        Answer::of(request.call().unwrap())
    }

    /// The same, once the database answers: until then, and while the machine is too busy to answer in time, the service says 503.
    pub(crate) fn get_when_served(&self, path: &str) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.status != 503 {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{path} is not served: {answer:?}");
            std::thread::sleep(POLL);
        }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base)).header("authorization", format!("Bearer {}", self.token));
        Answer::of(request.send_json(body).unwrap())
    }

    /// Everything that a client of the API does all day.
    fn assert_away(&self, way: &str) {
        let task = format!("/v1/tasks/{}", cluster::TASK);
        for path in
            ["/v1/agents", &task, &format!("{task}/usage"), &format!("/v1/workspaces/{}/usage", cluster::WORKSPACE), "/readyz"]
        {
            self.get(path).assert_away(&format!("GET {path}, {way}"));
        }
        self.post("/v1/usage", &reporters::report(u64::MAX)).assert_away(&format!("POST /v1/usage, {way}"));
        assert_eq!(self.get("/healthz").status, 200, "the process lives, {way}");
    }
}

/// A service on `place`, and a client of it.
pub(crate) async fn serve(cluster: &Cluster, place: Place) -> (Service, Client) {
    let service = Service::start(Settings::new(place, "127.0.0.1:0".parse().unwrap())).await.unwrap();
    cluster.fill().await;
    let client = Client::of(&service).await;
    (service, client)
}

/// Does what blocks beside the service.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_is_gone_or_refuses_and_a_port_that_refuses_are_all_told_at_once() {
    let cluster = Cluster::start();
    let (by_socket, socket_client) = serve(&cluster, cluster.by_socket()).await;
    let door = cluster.open_door().await;
    let (by_port, port_client) = serve(&cluster, door.place()).await;
    for client in [&socket_client, &port_client] {
        assert_eq!(client.get("/v1/agents").status, 200);
    }
    let door = door.close().await;
    let client = port_client.clone();
    blocking(move || client.assert_away("a port that refuses")).await;
    // A server that crashes leaves its socket behind, one that stops takes it away.
    for stop in [Stop::Killed, Stop::Fast] {
        cluster.stop(stop).await;
        assert_eq!(cluster.has_socket(), stop == Stop::Killed);
        let client = socket_client.clone();
        blocking(move || client.assert_away(&format!("a server that was stopped: {stop:?}"))).await;
        cluster.start_again().await;
        let client = socket_client.clone();
        assert_eq!(blocking(move || client.get_when_served("/v1/agents")).await.status, 200);
    }
    let door = door.open_again().await;
    let client = port_client.clone();
    assert_eq!(blocking(move || client.get_when_served("/v1/agents")).await.status, 200);
    for service in [by_socket, by_port] {
        service.stop().await.unwrap();
    }
    drop(door);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_the_server_was_stopped_is_there_when_it_comes_back() {
    let cluster = Cluster::start();
    let (service, client) = serve(&cluster, cluster.by_socket()).await;
    let reporters = Reporters::start(&client, REPORTERS);
    for stop in [Stop::Fast, Stop::Immediate, Stop::Killed, Stop::Fast] {
        reporters.wait_for_more_accepted(50).await;
        cluster.stop(stop).await;
        reporters.wait_for_more_refused(REPORTERS).await;
        cluster.start_again().await;
    }
    reporters.wait_for_more_accepted(50).await;
    let acknowledged = reporters.stop().await;
    let pool = service.pool.clone();
    let stored: Vec<String> =
        sqlx::query_scalar("select event_key from public.task_usage where model = 'outage' order by event_key")
            .fetch_all(&pool)
            .await
            .unwrap();
    // Each reporter sends a report until it is acknowledged, so all that was stored was acknowledged in the end, once.
    assert_eq!(stored, acknowledged);
    let report = verify::verify(&pool).await.unwrap();
    assert!(report.exact(), "{report:?}");
    service.stop().await.unwrap();
}
