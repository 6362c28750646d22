//! Defects in rebuilds, backfill and now-views.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
    mutation(
        "a rebuild adds what is pending",
        &[(
            "tallybook.each('-{}', tallybook.measures()), tallybook.happened_in(since, until)",
            "tallybook.each('{}', tallybook.measures()), tallybook.happened_in(since, until)",
        )],
        &["r36_", "r05_"],
    ),
    mutation(
        "a rebuild empties the queue",
        &[(
            "  if targets is null then\n    return 0;",
            "  delete from tallybook.usage_change;\n  if targets is null then\n    return 0;",
        )],
        &["r36_", "r05_"],
    ),
    mutation(
        "a rebuild leaves ghost days",
        &[(
            "    execute format('delete from tallybook.%1$I where %2$s >= %3$s and %2$s < %4$s', target.name,",
            "    execute format('delete from tallybook.%1$I where false and %2$s >= %3$s and %2$s < %4$s', target.name,",
        )],
        &["r41_"],
    ),
    mutation(
        "a window leaves out the days of late reports",
        &[("if day < first_day or day >= end_day then", "if false then")],
        &["r41_a_window"],
    ),
    mutation(
        "days are those of the session's time zone",
        &[(
            "when '1 day' then '(' || quarter_hour || ' at time zone ''UTC'')::date'",
            "when '1 day' then '(' || quarter_hour || ')::date'",
        )],
        &["r07_no"],
    ),
    mutation(
        "rebuilt days are those of the session's time zone",
        &[("quote_literal((instant at time zone 'UTC')::date) || '::date'", "quote_literal(instant::date) || '::date'")],
        &["r07_"],
    ),
    mutation(
        "pending counts on days not covered",
        &[(
            "tallybook.is_seen(%1$L) and bucket_start >= (select covered_from from tallybook.rollup where name = %1$L)",
            "tallybook.is_seen(%1$L)",
        )],
        &["m04_"],
    ),
    mutation(
        "covered days are read from raw too",
        &[(
            "from tallybook.contribution() where bucket_start < (select covered_from from tallybook.rollup where name = %4$L)",
            "from tallybook.contribution() where bucket_start < (select covered_from + interval ''1 day'' from tallybook.rollup where name = %4$L)",
        )],
        &["m04_"],
    ),
    mutation(
        "what is pending is shown beside the row that it changes",
        &[("from tallybook.%1$s where %3$s not in (select %3$s from p)", "from tallybook.%1$s where true")],
        &["r15_"],
    ),
    mutation(
        "what is pending is shown without the row that it changes",
        &[("from tallybook.%1$s where exists (select from p) and (", "from tallybook.%1$s where false and (")],
        &["r15_"],
    ),
    mutation(
        "a covered view is read in snapshots that are older",
        &[("is distinct from '-infinity'::timestamptz then", "is null then")],
        &["a_reader_keeps", "a_snapshot_older"],
    ),
    mutation(
        "a rollup is empty to older snapshots",
        &[(
            "oid = to_regclass('tallybook.' || rollup_name)) then",
            "oid = to_regclass('tallybook.' || rollup_name)) and false then",
        )],
        &["a_new_rollup", "r37_"],
    ),
];
