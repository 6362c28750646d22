//! Ids that follow from names, so that all who make the same thing at once make one thing.
use uuid::Uuid;

/// A kind of thing that a report can name, and that is made when it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Where agents run.
    Runtime,
    /// Who works.
    Agent,
    /// What is worked on.
    Issue,
}

impl Kind {
    /// Its name, as in field paths and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Agent => "agent",
            Self::Issue => "issue",
        }
    }
}

/// A word that names no [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither runtime, agent nor issue")]
pub struct UnknownKind;

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Runtime, Self::Agent, Self::Issue].into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

/// The id under which `name` is made in `workspace`.
///
/// `generation` is 0, and more only where something that was made so has been moved to another workspace
/// and holds the id there.
pub fn derived(workspace: Uuid, kind: Kind, name: &str, generation: u32) -> Uuid {
    Uuid::new_v5(&workspace, format!("{}\0{name}\0{generation}", kind.name()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workspace_kind_name_and_generation_all_tell_ids_apart() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let id = derived(a, Kind::Agent, "x", 0);
        assert_eq!(id, derived(a, Kind::Agent, "x", 0));
        for other in [
            derived(b, Kind::Agent, "x", 0),
            derived(a, Kind::Runtime, "x", 0),
            derived(a, Kind::Agent, "y", 0),
            derived(a, Kind::Agent, "x", 1),
        ] {
            assert_ne!(id, other);
        }
    }
}
