//! What is measured, a file a subject. Each makes its own copies, lets contenders take turns, and says what it found.
mod backfill;
mod bulk;
mod correctness;
mod freshness;
mod http;
mod long_transaction;
mod reads;
mod space;
mod ticks;
mod writes;

use super::contender::Contender;
use super::plan::Subject;
use super::results::{Figure, Section, Table};
use super::server::Database;
use super::{Bench, Error};

/// Measures one subject.
pub(super) async fn measure(bench: &Bench<'_>, subject: Subject) -> Result<Section, Error> {
    match subject {
        Subject::Writes => Box::pin(writes::measure(bench)).await,
        Subject::Bulk => Box::pin(bulk::measure(bench)).await,
        Subject::Ticks => Box::pin(ticks::measure(bench)).await,
        Subject::Freshness => Box::pin(freshness::measure(bench)).await,
        Subject::Reads => Box::pin(reads::measure(bench)).await,
        Subject::Backfill => Box::pin(backfill::measure(bench)).await,
        Subject::Space => Box::pin(space::measure(bench)).await,
        Subject::LongTransaction => Box::pin(long_transaction::measure(bench)).await,
        Subject::Http => Box::pin(http::measure(bench)).await,
        Subject::Correctness => Box::pin(correctness::measure(bench)).await,
    }
}

/// Compares what each contender shows with raw, when all is written; ours must not differ.
async fn compare(contenders: &[(Contender, Database)], section: &mut Section) -> Result<(), Error> {
    let mut table =
        Table::new("Daily keys in which what is shown differs from raw, after all of that", ["contender", "keys differing"]);
    for (contender, database) in contenders {
        let differing = contender.differing(database).await?;
        section.fault_unless(differing == 0 || !contender.is_ours(), format!("{differing} keys of {} differ", contender.name()));
        table.row(contender.name(), [Figure::Count(differing)]);
    }
    section.tables.push(table);
    Ok(())
}

/// Drops copies that have served.
async fn forget(bench: &Bench<'_>, copies: impl IntoIterator<Item = Database>) -> Result<(), Error> {
    for copy in copies {
        bench.server.drop(copy).await?;
    }
    Ok(())
}

/// A number of rows in short: 200, 100 k, 10 M.
fn rows(number: u64) -> String {
    match number {
        n if n >= 1_000_000 && n.is_multiple_of(100_000) => {
            let (whole, tenth) = (n / 1_000_000, n / 100_000 % 10);
            if tenth == 0 { format!("{whole} M") } else { format!("{whole}.{tenth} M") }
        }
        n if n >= 1_000 && n.is_multiple_of(1_000) => format!("{} k", n / 1_000),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn numbers_of_rows_are_told_in_short() {
        let told = [0, 200, 1_000, 20_000, 1_234, 100_000, 1_000_000, 1_500_000, 10_000_000].map(rows);
        assert_eq!(told, ["0", "200", "1 k", "20 k", "1234", "100 k", "1 M", "1.5 M", "10 M"]);
    }
}
