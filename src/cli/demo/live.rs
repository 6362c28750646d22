//! The live summary: a block that is drawn anew each second where there is a terminal, else a line now and then.
use crate::cli::output::{Output, count, printable, thousands};
use crate::cli::usage::price;
use crate::demo::{Demo, Figures, Kind};
use std::collections::VecDeque;
use std::io::{IsTerminal, stdout};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

/// How often the block is drawn anew.
const BLOCK_EVERY: Duration = Duration::from_secs(1);
/// How often there is a line.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Looks over which the pace is measured.
const PACE_LOOKS: usize = 5;

/// Back to the line's beginning, and clear from there to the end of the screen (it may show a `^C`).
const CLEAR: &str = "\r\u{1b}[J";
/// Lines that are too long are cut off, not wrapped: or else the block would have more lines than we know of.
const NO_WRAP: &str = "\u{1b}[?7l";
const WRAP: &str = "\u{1b}[?7h";

/// Shows figures as they come.
pub(super) struct Live {
    /// How many lines the block on the terminal has; none where there is no terminal.
    drawn: Option<usize>,
    ticks: Interval,
    run_for: Option<Duration>,
    /// When we last looked, and how many reports there were.
    looks: VecDeque<(Duration, u64)>,
}

impl Live {
    pub(super) fn new(run_for: Option<Duration>) -> Self {
        let drawn = stdout().is_terminal().then_some(0);
        let every = if drawn.is_some() { BLOCK_EVERY } else { LINE_EVERY };
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { drawn, ticks, run_for, looks: VecDeque::from([(Duration::ZERO, 0)]) }
    }

    /// Waits until it is time to show them again.
    pub(super) async fn next(&mut self) {
        self.ticks.tick().await;
    }

    /// Reads the figures and shows them. A database that is away is said to be, and no reason to stop.
    pub(super) async fn show(&mut self, demo: &Demo, out: &mut Output) -> anyhow::Result<()> {
        let figures = match demo.figures().await {
            Ok(figures) => figures,
            Err(error) => {
                let away = format!("The database does not answer ({}); the fleet keeps trying.", printable(&error.to_string()));
                return self.tell(&away, &away, out);
            }
        };
        let pace = self.pace(figures.elapsed, figures.counts.reports());
        let (mut block, mut line) = (block(&figures, self.run_for, pace), line(&figures, pace));
        if let Some(trouble) = trouble(&figures) {
            block = format!("{block}\n\n  {trouble}");
            line = format!("{line}; {trouble}");
        }
        self.tell(&block, &line, out)
    }

    fn tell(&mut self, block: &str, line: &str, out: &mut Output) -> anyhow::Result<()> {
        if let Some(lines) = &mut self.drawn {
            let up = if *lines > 0 { format!("\u{1b}[{lines}A") } else { String::new() };
            out.line(format_args!("{up}{CLEAR}{NO_WRAP}{block}{WRAP}"))?;
            *lines = block.lines().count();
        } else {
            out.line(line)?;
        }
        out.finish()?;
        Ok(())
    }

    /// Leaves the block as it is; what comes next comes below it.
    pub(super) fn end(&self, out: &mut Output) -> anyhow::Result<()> {
        if self.drawn.is_some() {
            out.line(CLEAR)?;
        }
        Ok(())
    }

    /// Reports a second over the last looks.
    fn pace(&mut self, elapsed: Duration, reports: u64) -> u64 {
        self.looks.push_back((elapsed, reports));
        if self.looks.len() > PACE_LOOKS {
            self.looks.pop_front();
        }
        let (since, before) = self.looks.front().copied().unwrap_or_default();
        let passed = u64::try_from(elapsed.saturating_sub(since).as_millis()).unwrap_or(u64::MAX).max(1);
        reports.saturating_sub(before).saturating_mul(1_000) / passed
    }
}

fn block(figures: &Figures, run_for: Option<Duration>, pace: u64) -> String {
    let Figures { counts, usage, .. } = figures;
    let of = run_for.map_or(String::new(), |time| format!(" of {}", clock(time)));
    let steps = |kinds: &[Kind]| thousands(counts.steps_of(kinds));
    let rows = [
        ("running", format!("{}{of}", clock(figures.elapsed))),
        ("reports", format!("{}, {}/s", thousands(counts.reports()), thousands(pace))),
        (
            "",
            format!(
                "{} new, {} replaced, {} unchanged, {} stale",
                thousands(counts.created),
                thousands(counts.replaced),
                thousands(counts.unchanged),
                thousands(counts.stale)
            ),
        ),
        (
            "besides",
            format!(
                "{} moves, {} archived, {} purged",
                steps(&[Kind::MoveTask, Kind::Reassign, Kind::MoveIssue]),
                steps(&[Kind::Archive]),
                steps(&[Kind::PurgeTask, Kind::PurgeAgent])
            ),
        ),
        ("tokens", thousands(usage.tokens())),
        ("cost", format!("{} USD", grouped_price(&usage.cost_usd.to_string()))),
        ("pending", pending(figures)),
    ];
    rows.map(|(name, value)| format!("  {name:<9}{value}")).join("\n")
}

fn line(figures: &Figures, pace: u64) -> String {
    format!(
        "{}: {} reports ({}/s), {} tokens, {} USD, {}",
        clock(figures.elapsed),
        thousands(figures.counts.reports()),
        thousands(pace),
        thousands(figures.usage.tokens()),
        grouped_price(&figures.usage.cost_usd.to_string()),
        pending(figures)
    )
}

fn pending(figures: &Figures) -> String {
    match figures.pending_rows {
        0 => "nothing to fold".to_owned(),
        rows => {
            let (seconds, tenths) = (figures.lag.as_secs(), figures.lag.subsec_millis() / 100);
            format!("{} to fold, the oldest {seconds}.{tenths} s", count(rows, "change row"))
        }
    }
}

/// What the watcher should know of that did not work.
fn trouble(figures: &Figures) -> Option<String> {
    let counts = &figures.counts;
    let away = counts.away.as_ref().map(|reason| format!("waiting: {}", printable(reason)));
    let refused = || {
        let reason = counts.last_refusal.as_ref()?;
        Some(format!("{} refused, last: {}", thousands(counts.refused), printable(reason)))
    };
    away.or_else(refused)
}

/// Every digit that counts, the dollars in thousands.
fn grouped_price(usd: &str) -> String {
    let price = price(usd);
    let (dollars, fraction) = price.split_once('.').unwrap_or((&price, "00"));
    format!("{}.{fraction}", thousands(dollars))
}

/// 45 s, 12 min 05 s or 3 h 07 min.
fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Counts;
    use crate::query::Measures;

    fn figures() -> Figures {
        Figures {
            elapsed: Duration::from_millis(75_400),
            counts: Counts {
                steps: [(Kind::MoveTask, 3), (Kind::Reassign, 1), (Kind::PurgeTask, 2), (Kind::PurgeAgent, 1)].into(),
                created: 4_000,
                replaced: 321,
                unchanged: 20,
                stale: 10,
                ..Counts::default()
            },
            usage: Measures::default(),
            pending_rows: 1_234,
            lag: Duration::from_millis(1_270),
        }
    }

    #[test]
    fn a_block_shows_what_happens_within_eighty_columns() {
        let block = block(&figures(), Some(Duration::from_mins(2)), 98);
        insta::assert_snapshot!(block, @"
          running  1 min 15 s of 2 min 00 s
          reports  4,351, 98/s
                   4,000 new, 321 replaced, 20 unchanged, 10 stale
          besides  4 moves, 0 archived, 3 purged
          tokens   0
          cost     0.00 USD
          pending  1,234 change rows to fold, the oldest 1.2 s
        ");
        assert!(block.lines().all(|line| line.len() < 80));
    }

    #[test]
    fn a_line_says_it_in_short() {
        insta::assert_snapshot!(
            line(&figures(), 98),
            @"1 min 15 s: 4,351 reports (98/s), 0 tokens, 0.00 USD, 1,234 change rows to fold, the oldest 1.2 s"
        );
    }

    #[test]
    fn trouble_is_told() {
        let mut figures = figures();
        assert_eq!(trouble(&figures), None);
        (figures.counts.refused, figures.counts.last_refusal) = (2, Some("PUT /v1/x was refused".to_owned()));
        assert_eq!(trouble(&figures).unwrap(), "2 refused, last: PUT /v1/x was refused");
        figures.counts.away = Some("connection refused".to_owned());
        assert_eq!(trouble(&figures).unwrap(), "waiting: connection refused");
    }

    #[test]
    fn times_and_prices_are_read_at_a_glance() {
        assert_eq!([9, 65, 11_220].map(|s| clock(Duration::from_secs(s))), ["9 s", "1 min 05 s", "3 h 07 min"]);
        assert_eq!(["0", "1234.5", "1234567.0000000001"].map(grouped_price), ["0.00", "1,234.50", "1,234,567.0000000001"]);
    }
}
