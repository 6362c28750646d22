//! Defects in what a row contributes.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
    mutation(
        "buckets are half hours",
        &[("return pg_catalog.date_bin('15 minutes',", "return pg_catalog.date_bin('30 minutes',")],
        &["r08_"],
    ),
    mutation(
        "infinite times are not clamped",
        &[(
            "greatest(least(coalesce(happened_at, '0001-01-01 00:00+00'), '9999-12-31 23:45+00'::timestamptz), '0001-01-01 00:00+00')",
            "coalesce(happened_at, '0001-01-01 00:00+00')",
        )],
        &["r40_no_name"],
    ),
    mutation(
        "a row without a time has no bucket",
        &[("coalesce(happened_at, '0001-01-01 00:00+00')", "happened_at")],
        &["r40_keys"],
    ),
    mutation(
        "long names enter keys whole",
        &[("pg_catalog.octet_length(name) <= 256", "pg_catalog.octet_length(name) <= 1000000")],
        &["r40_no_name"],
    ),
    mutation(
        "long names that begin alike are one",
        &[("left(name, 40) || '~' || encode(sha256(convert_to(name, 'UTF8')), 'hex')", "left(name, 40) || '~'")],
        &["r40_keys"],
    ),
    mutation(
        "providers keep their case",
        &[("tallybook.name_key(pg_catalog.lower(name collate \"C\") collate \"C\")", "tallybook.name_key(name collate \"C\")")],
        &["r16_"],
    ),
    mutation(
        "NaN is summed",
        &[("measure in ('NaN', 'Infinity', '-Infinity')", "measure in ('Infinity', '-Infinity')")],
        &["r40_keys"],
    ),
    mutation(
        "null counts are not 0",
        &[("format('coalesce(%s.%s, 0)::numeric', row_name, column_name)", "format('%s.%s::numeric', row_name, column_name)")],
        &["r40_no_name"],
    ),
    mutation(
        "priced tokens are estimated again",
        &[(
            "image || '.cost_usd_ticks is null), 0) as uncosted_{}'",
            "image || '.cost_usd_ticks is not null), 0) as uncosted_{}'",
        )],
        &["races::writers::two_read_committed"],
    ),
    mutation(
        "tasks without an issue are left out of raw sums",
        &[(
            "        left join tallybook.issue_rows() i on i.id = t.issue_id\n        union all",
            "        join tallybook.issue_rows() i on i.id = t.issue_id\n        union all",
        )],
        &["r14_"],
    ),
];
