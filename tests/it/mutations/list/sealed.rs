//! Defects in sealed usage.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
    mutation(
        "sealed usage is no part of the truth",
        &[(
            "        from tallybook.sealed_usage s\n      $body$",
            "        from tallybook.sealed_usage s where false\n      $body$",
        )],
        &["sealing::two_runs"],
    ),
    mutation(
        "sealed usage is known by no project",
        &[(
            "s.runtime_id, s.agent_id, s.project_id,\n          s.provider",
            "s.runtime_id, s.agent_id, null::uuid,\n          s.provider",
        )],
        &["sealing::no_change"],
    ),
    mutation(
        "what is sealed is taken away",
        &[("select %1$s %2$s from new_rows;", "select %1$s %3$s from new_rows;")],
        &["sealing::two_runs"],
    ),
    mutation(
        "what is taken out of sealed usage is added",
        &[("select %1$s %3$s from old_rows;", "select %1$s %2$s from old_rows;")],
        &["sealing::what_becomes_of_sealed_usage"],
    ),
    mutation(
        "sealed usage may be truncated",
        &[(
            "create trigger tallybook_truncate before truncate on tallybook.sealed_usage for each statement",
            "create trigger tallybook_truncate before truncate on tallybook.sealed_usage for each statement when (false)",
        )],
        &["what_is_sealed_cannot_be_truncated"],
    ),
    mutation(
        "a change of sealed usage alone is not pending",
        &[("    or exists (select from tallybook.sealed_change where xid >= low or xid = any (opened));", ";")],
        &["sealing::what_becomes_of_sealed_usage"],
    ),
    mutation(
        "what is sealed is not pending",
        &[(
            "  from tallybook.sealed_change where xid >= low or xid = any (opened);\n  select",
            "  from tallybook.sealed_change where false;\n  select",
        )],
        &["sealing::two_runs"],
    ),
    mutation(
        "pending of sealed usage forgets who was open",
        &[(
            "  from tallybook.sealed_change where xid >= low or xid = any (opened);\n  select",
            "  from tallybook.sealed_change where xid >= low;\n  select",
        )],
        &["sealing::sealing_and_the_upkeep"],
    ),
    mutation(
        "a fold leaves changes of sealed usage in the queue",
        &[("    folded_sealed as (delete from tallybook.sealed_change where xid >= $1 or xid = any ($2)),\n", "")],
        &["sealing::what_becomes_of_sealed_usage"],
    ),
    mutation(
        "a slice of backfill is sized by raw rows alone",
        &[(
            "    (select bucket_start from tallybook.sealed_usage where bucket_start < until order by bucket_start desc offset rows_max limit 1)) x (at)\n  having max(at) is not null;\n  return case",
            "    (select bucket_start from tallybook.sealed_usage where false)) x (at)\n  having max(at) is not null;\n  return case",
        )],
        &["a_rollup_is_covered_from_what_is_sealed"],
    ),
    mutation(
        "a rollup over nothing but sealed usage begins covered",
        &[(
            "    and not exists (select from tallybook.sealed_usage) and not exists (select from tallybook.sealed_change);",
            "    and true;",
        )],
        &["a_rollup_is_covered_from_what_is_sealed"],
    ),
    mutation(
        "sealed rows stay raw too",
        &[(
            "delete from public.task_usage u using chosen c where u.ctid = c.place and u.tableoid = c.relation and %1$s\n        returning",
            "update public.task_usage u set sequence = 0 from chosen c where u.ctid = c.place and u.tableoid = c.relation and %1$s\n        returning",
        )],
        &["sealing::two_runs"],
    ),
    mutation(
        "a task that is moved meanwhile is sealed where it was",
        &[("order by %1$s for update skip locked)', task_id)", "order by %1$s)', task_id)")],
        &["sealing::no_change_is_lost_beside_the_sealing"],
    ),
    mutation(
        "an agent that is moved meanwhile is sealed where it was",
        &[("order by %1$s for share skip locked)', agent_id, ", "order by %1$s)', agent_id, ")],
        &["sealing::no_change_is_lost_beside_the_sealing"],
    ),
    mutation(
        "an issue that is moved meanwhile is sealed where it was",
        &[("order by %1$s for share skip locked)', issue_id, ", "order by %1$s)', issue_id, ")],
        &["sealing::no_change_is_lost_beside_the_sealing"],
    ),
    mutation(
        "sealing waits for whoever corrects usage",
        &[("        for update skip locked),\n      removed as (", "),\n      removed as (")],
        &["sealing::no_change_is_lost_beside_the_sealing"],
    ),
    mutation(
        "sealed identities are forgotten",
        &[("select distinct digest from removed on conflict do nothing)", "select distinct digest from removed where false)")],
        &["sealed_identities_are_kept"],
    ),
    mutation(
        "identities are one by chance of their parts",
        &[
            (
                "coalesce(task_id::text, '') || ':' || coalesce(pg_catalog.length(provider), 0) || ':' || coalesce(pg_catalog.lower(provider collate \"C\"), '')",
                "coalesce(task_id::text, '') || coalesce(pg_catalog.lower(provider collate \"C\"), '')",
            ),
            (
                "|| ':' || coalesce(pg_catalog.length(model), 0) || ':' || coalesce(model, '') || ':' || coalesce(event_key, '')",
                "|| coalesce(model, '') || coalesce(event_key, '')",
            ),
        ],
        &["sealed_identities_are_kept"],
    ),
    mutation(
        "sealed identities keep the case of their providers",
        &[("coalesce(pg_catalog.lower(provider collate \"C\"), '')", "coalesce(provider, '')")],
        &["sealed_identities_are_kept"],
    ),
    mutation(
        "days are sealed that a rollup does not cover",
        &[("where covered_from > since order by name limit 1;", "where false order by name limit 1;")],
        &["what_cannot_be_trusted_is_not_sealed"],
    ),
    mutation(
        "days are sealed on which a rollup differs",
        &[(
            "where day >= (since at time zone 'UTC')::date and day < (until at time zone 'UTC')::date order by rollup limit 1;",
            "where false order by rollup limit 1;",
        )],
        &["what_cannot_be_trusted_is_not_sealed"],
    ),
    mutation(
        "a purge does not wait for what is being sealed",
        &[("  perform tallybook.wait_for_seal_lock();\n  case kind", "  case kind")],
        &["sealing::a_purge"],
    ),
    mutation(
        "a purge of a runtime takes its usage along",
        &[(
            "update tallybook.sealed_usage s set runtime_id = null where s.runtime_id = purge_sealed.id;",
            "delete from tallybook.sealed_usage s where s.runtime_id = purge_sealed.id;",
        )],
        &["sealing::what_becomes_of_sealed_usage"],
    ),
    mutation(
        "thinned days lose their projects",
        &[(
            "r.workspace_id, r.runtime_id, r.agent_id, r.project_id, r.provider, r.model,\n        sum(r.input_tokens)",
            "r.workspace_id, r.runtime_id, r.agent_id, null, r.provider, r.model,\n        sum(r.input_tokens)",
        )],
        &["sealing::no_change_is_lost_beside_the_thinning"],
    ),
    mutation(
        "thinned days are those of the session's time zone",
        &[
            (
                "select date_trunc('day', r.bucket_start, 'UTC'), r.workspace_id",
                "select date_trunc('day', r.bucket_start), r.workspace_id",
            ),
            (
                "group by date_trunc('day', r.bucket_start, 'UTC'), r.workspace_id",
                "group by date_trunc('day', r.bucket_start), r.workspace_id",
            ),
        ],
        &["thinned_days_are_utc_days"],
    ),
];
