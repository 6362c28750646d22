//! Pages of lists: which one is asked for, and where the next one begins.
use super::error::Problem;
use super::parameters::Parameters;
use uuid::Uuid;

/// Items of one page.
pub const LIMIT_MAX: u16 = 1_000;
/// Items of a page that nobody asked for otherwise.
pub const LIMIT_DEFAULT: u16 = 100;

/// The page that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only what comes after this.
    pub after: Option<Uuid>,
    limit: u16,
}

impl Page {
    /// Takes `after` and `limit`.
    pub fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let expected = format!("a whole number from 1 to {LIMIT_MAX}");
        let limit = parameters.parsed("limit", &expected)?.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::field("limit", format_args!("{expected}, not {limit}")));
        }
        Ok(Self { after: parameters.parsed("after", "a UUID, as `next_after` of the page before")?, limit })
    }

    /// How many items to fetch: one more than are shown tells whether there is another page.
    pub fn to_fetch(self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts what was fetched to the page. Returns what the next one comes after, if there is one.
    pub fn cut<T>(self, items: &mut Vec<T>, id: impl FnOnce(&T) -> Uuid) -> Option<Uuid> {
        let more = items.len() > usize::from(self.limit);
        items.truncate(self.limit.into());
        items.last().filter(|_| more).map(id)
    }
}
