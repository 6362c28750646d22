//! The defects, by what they are in.
mod adoption;
mod capture;
mod contributions;
mod coverage;
mod fold;
mod pending;
mod sealed;

use super::Mutation;

const fn mutation(
    defect: &'static str,
    edits: &'static [(&'static str, &'static str)],
    found_by: &'static [&'static str],
) -> Mutation {
    Mutation { defect, edits, found_by }
}

const LISTS: [&[Mutation]; 7] = [
    contributions::MUTATIONS,
    capture::MUTATIONS,
    pending::MUTATIONS,
    fold::MUTATIONS,
    coverage::MUTATIONS,
    sealed::MUTATIONS,
    adoption::MUTATIONS,
];

/// All of them, in an order that stays: a mutant is known by its place.
pub(super) fn mutations() -> impl Iterator<Item = &'static Mutation> {
    LISTS.into_iter().flatten()
}
