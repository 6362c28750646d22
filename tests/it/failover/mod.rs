//! A primary that dies and a synchronous replica that is promoted: what was acknowledged is there, and the service goes on.
mod replica;

use crate::outage::cluster::{Cluster, Stop};
use crate::outage::reporters::Reporters;
use crate::outage::{blocking, serve};
use tallybook::doctor;
use tallybook::rollup::{fold, verify};

/// Reporters at once.
const REPORTERS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_a_synchronous_replica_takes_over() {
    let primary = Cluster::start();
    let door = primary.open_door().await;
    // The address that stays when the server changes: a name, a virtual address or a pooler.
    let (service, client) = serve(&primary, door.place()).await;
    let standby = replica::of(&primary).await;
    replica::make_synchronous(&primary).await;

    let reporters = Reporters::start(&client, REPORTERS);
    reporters.wait_for_more_accepted(200).await;
    replica::assert_exact(&standby).await;
    primary.stop(Stop::Killed).await;
    let door = door.close().await;
    reporters.wait_for_more_refused(REPORTERS).await;
    replica::promote(&standby).await;
    let door = door.leading_to(&standby).open_again().await;
    let waiting = client.clone();
    assert_eq!(blocking(move || waiting.get_when_served("/v1/agents")).await.status, 200);
    reporters.wait_for_more_accepted(200).await;
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
    fold::drain(&pool).await.unwrap();
    assert!(verify::verify(&pool).await.unwrap().exact());
    let examined = doctor::examine(&pool).await.unwrap();
    assert!(examined.healthy(), "{examined:?}");
    assert_eq!(client.get_when_served("/readyz").status, 200);
    service.stop().await.unwrap();
    drop(door);
}
