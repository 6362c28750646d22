//! What each contender keeps on disk beside the source tables.
use super::{forget, rows};
use crate::bench::contender::Contender;
use crate::bench::plan::Subject;
use crate::bench::results::{Figure, Section, Table, Unit};
use crate::bench::stats::float;
use crate::bench::{Bench, Error};

const METHOD: &str = "Tables with their indexes, freshly summed and vacuumed, less the same of no rollup at all: indexes that a contender needs on the source tables count.";
const RELATIONS: &str =
    "select sum(pg_total_relation_size(c.oid))::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')";

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Space, METHOD);
    let size = bench.plan.middle();
    let mut table = Table::new(format!("Beside {} rows of usage", rows(size)), ["contender", "in all", "for a million events"]);
    let mut bare = 0;
    for contender in Contender::ALL {
        let copy = bench.server.copy(&contender.ready_on_history(&bench.server, size).await?).await?;
        let mut conn = copy.connect().await?;
        let bytes: i64 = sqlx::query_scalar(RELATIONS).fetch_one(&mut conn).await?;
        let bytes = u64::try_from(bytes).unwrap_or_default();
        forget(bench, [copy]).await?;
        if contender == Contender::Raw {
            bare = bytes;
            table.row("the source tables alone", per_million(bare, size));
        } else {
            table.row(contender.name(), per_million(bytes.saturating_sub(bare), size));
        }
    }
    section.tables.push(table);
    Ok(section)
}

fn per_million(bytes: u64, size: u64) -> [Figure; 2] {
    [float(bytes), float(bytes) * 1_000_000.0 / float(size)].map(|value| Figure::Value { unit: Unit::Bytes, value })
}
