//! Holds commits between the moment at which they are durable and the one at which anybody learns of it.
//!
//! That is what a server does that waits for a standby, and this one's standby never comes.
use super::instance::Instance;
use super::patience::ask;
use sqlx::{Connection, Executor, PgConnection};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio_util::task::AbortOnDropHandle;

const PROBE: &str = "probe of a test";

/// Commits that come while this is there wait.
pub(super) struct Hold {
    file: PathBuf,
}

impl Hold {
    /// Begins, and waits until a commit really is held.
    pub(super) async fn begin(instance: &Instance) -> Self {
        let file = instance.cluster().join("local.conf");
        fs::write(&file, "synchronous_standby_names = 'nobody'\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        instance.reload();
        let mut probe = PgConnection::connect_with(&instance.superuser().application_name(PROBE)).await.unwrap();
        let probing = async move { while probe.execute("select pg_logical_emit_message(true, 'probe', '')").await.is_ok() {} };
        let _probing = AbortOnDropHandle::new(tokio_util::task::TaskTracker::new().spawn(probing));
        let held = "select pid from pg_stat_activity where application_name = $1 and wait_event = 'SyncRep'";
        let _: i32 = ask("a commit that is held", || sqlx::query_scalar(held).bind(PROBE).fetch_optional(&instance.pool)).await;
        Self { file }
    }

    /// Waits until the server's process `pid` has committed and is held.
    pub(super) async fn holds(&self, instance: &Instance, pid: i32) {
        let held = "select pid from pg_stat_activity where pid = $1 and wait_event = 'SyncRep'";
        let _: i32 = ask("the commit", || sqlx::query_scalar(held).bind(pid).fetch_optional(&instance.pool)).await;
    }
}

impl Drop for Hold {
    /// A server that starts from now on holds nothing; one that runs has to be told: [`Instance::reload`].
    fn drop(&mut self) {
        fs::remove_file(&self.file).unwrap();
    }
}
