//! What happens at once, one step at a time: every interleaving leaves every number exact.
mod changes;
mod keepers;
mod maintenance;
mod sealing;
pub(crate) mod session;
mod snapshots;
pub(crate) mod world;
mod writers;

use session::{ISOLATIONS, Isolation};
use tallybook::testing::results::RACES;

/// How many interleavings a test has played: by the isolation level of those who write, and of maintenance with itself.
#[derive(Default)]
struct Played {
    by_level: [u64; 3],
    of_maintenance: u64,
}

impl Played {
    fn count(&mut self, isolation: Isolation) {
        self.by_level[ISOLATIONS.iter().position(|level| *level == isolation).unwrap()] += 1;
    }

    /// To be called at the end: whoever gets there has met no difference.
    fn record(&self) {
        let [read_committed, repeatable_read, serializable] = self.by_level;
        RACES.record(
            None,
            &[
                ("played", self.by_level.iter().sum::<u64>() + self.of_maintenance),
                ("in READ COMMITTED", read_committed),
                ("in REPEATABLE READ", repeatable_read),
                ("in SERIALIZABLE", serializable),
                ("of maintenance with itself", self.of_maintenance),
                ("differences", 0),
            ],
        );
    }
}
