//! Readers of the service while the host writes.
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// When to come again to a service that is busy.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Someone who reads.
struct Reader {
    address: SocketAddr,
    token: String,
    stop: CancellationToken,
}

impl Reader {
    /// The answer; one that is told to come again does, as long as nobody stops it.
    fn get(&self, path: &str) -> Option<serde_json::Value> {
        while !self.stop.is_cancelled() {
            let request = ureq::get(format!("http://{}{path}", self.address)).config().http_status_as_error(false).build();
            let mut answer = request.header("authorization", format!("Bearer {}", self.token)).call().unwrap();
            let body = answer.body_mut().read_to_string().unwrap();
            if answer.status() == 200 {
                return Some(serde_json::from_str(&body).unwrap());
            }
            assert!(answer.status() == 503 && answer.headers().contains_key("retry-after"), "{path}: {body}");
            std::thread::sleep(AGAIN_AFTER);
        }
        None
    }

    fn ids(&self, kind: &str) -> Vec<String> {
        let Some(page) = self.get(&format!("/v1/{kind}?limit=50")) else { return Vec::new() };
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Reads one thing after the other until `stop`, and gives how many answers there were. Each is an exact one.
pub(super) fn start(address: SocketAddr, token: String, stop: CancellationToken) -> JoinHandle<u64> {
    tokio::task::spawn_blocking(move || {
        let reader = Reader { address, token, stop };
        let paths = reader.ids("runtimes").into_iter().map(|id| format!("/v1/runtimes/{id}/usage?days=90"));
        let of_workspaces = reader.ids("workspaces").into_iter().map(|id| format!("/v1/workspaces/{id}/usage?days=30"));
        let paths: Vec<String> = paths.chain(of_workspaces).collect();
        let mut reads = 0;
        for path in paths.iter().cycle() {
            let Some(answer) = reader.get(path) else { break };
            assert_eq!(answer["exact"], true, "{path}");
            assert_eq!(answer["source"], "tallybook.task_usage_daily_now", "{path}");
            reads += 1;
        }
        reads
    })
}
