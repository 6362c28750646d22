//! Defects in the fold.
use super::{Mutation, mutation};

pub(super) const MUTATIONS: &[Mutation] = &[
    mutation(
        "two folds at once",
        &[("  if not pg_try_advisory_xact_lock(tallybook.fold_lock_key()) then", "  if false then")],
        &["r25_", "r27_", "r06_"],
    ),
    mutation(
        "a rebuild beside a fold",
        &[(
            "  perform tallybook.wait_for_fold_lock();\n  perform tallybook.lock_sources();\n  select array_agg(name) into names from tallybook.rollup;\n  written",
            "  perform tallybook.lock_sources();\n  select array_agg(name) into names from tallybook.rollup;\n  written",
        )],
        &["r05_"],
    ),
    mutation(
        "a slice of backfill beside a fold",
        &[(
            "  if not gently then\n    perform tallybook.wait_for_fold_lock();\n  elsif not pg_try_advisory_xact_lock(tallybook.fold_lock_key()) then\n    return;\n  end if;\n",
            "",
        )],
        &["r06_a_fold"],
    ),
    mutation("folds run in triggers", &[("if pg_trigger_depth() > 0 then", "if false then")], &["r39_"]),
    mutation(
        "folds run in transactions that have written",
        &[("elsif pg_current_xact_id_if_assigned() is not null then", "elsif false then")],
        &["r39_"],
    ),
    mutation(
        "folds run in old snapshots",
        &[(
            "elsif current_setting('transaction_isolation') <> 'read committed' then\n    raise exception 'rollups cannot be written in isolation",
            "elsif false then\n    raise exception 'rollups cannot be written in isolation",
        )],
        &["r39_"],
    ),
    mutation(
        "folds run while capture is broken",
        &[(
            "if fault is not null then\n    raise exception 'capture is not intact",
            "if false then\n    raise exception 'capture is not intact",
        )],
        &["r31_a_trigger"],
    ),
    mutation(
        "folds read tables that are being rewritten",
        &[("  lock table public.task_usage, public.agent_task_queue, public.agent, public.issue in access share mode;\n", "")],
        &["r39_"],
    ),
    mutation(
        "the queue is emptied by a second statement",
        &[
            ("    folded_usage as (delete from tallybook.usage_change where xid >= $1 or xid = any ($2)),\n", ""),
            (
                "execute_sums('select * from tallybook.fold_everything($1, $2)', low, opened);\n",
                "execute_sums('select * from tallybook.fold_everything($1, $2)', low, opened);\n      delete from tallybook.usage_change where xid >= low or xid = any (opened);\n",
            ),
        ],
        &["r03_"],
    ),
    mutation(
        "a batch empties the queue of other tasks too",
        &[(
            "folded_usage as (delete from tallybook.usage_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),",
            "folded_usage as (delete from tallybook.usage_change where xid >= $1 or xid = any ($2)),",
        )],
        &["r24_", "no_change_is_lost_beside_a_batch"],
    ),
    mutation(
        "a batch leaves its tasks' moves in the queue",
        &[(
            "folded_tasks as (delete from tallybook.task_change where (xid >= $1 or xid = any ($2)) and task_id in (select unnest($3))),",
            "folded_tasks as (select 1),",
        )],
        &["r24_batches"],
    ),
    mutation("a fold sets what it should add", &[("'{} = r.{} + excluded.{}'", "'{} = excluded.{}'")], &["r08_"]),
    mutation(
        "keys whose count alone does not change are not folded",
        &[("      tallybook.each('sum(c.{}) <> 0', tallybook.measures(), ' or '),", "      'sum(c.event_count) <> 0',")],
        &["r08_"],
    ),
    mutation(
        "who rebuilds takes the lock in the statement that sums",
        &[
            (
                "perform tallybook.wait_for_fold_lock();\n  perform tallybook.lock_sources();\n  select array_agg(name)",
                "perform tallybook.lock_sources();\n  select array_agg(name)",
            ),
            (
                "coalesce('with contributions as (' || contributions || '), '",
                "coalesce('with l as materialized (select tallybook.wait_for_fold_lock()), contributions as (select c.* from l, lateral (' || contributions || ') c), '",
            ),
        ],
        &["two_keepers"],
    ),
    mutation(
        "who repairs does not wait for who folds",
        &[(
            "perform tallybook.wait_for_fold_lock();\n  perform tallybook.lock_sources();\n  select * into r",
            "perform tallybook.lock_sources();\n  select * into r",
        )],
        &["two_keepers"],
    ),
    mutation(
        "a row whose count alone is 0 goes",
        &[("tallybook.each('r.{} = 0', tallybook.measures(), ' and ')),", "'r.event_count = 0'),")],
        &["r38_"],
    ),
    mutation("emptied rows stay", &[("if summed.emptied <> '{}' then", "if false then")], &["r21_"]),
    mutation(
        "each null runtime is a key of its own",
        &[("on tallybook.%1$s (%2$s) nulls not distinct", "on tallybook.%1$s (%2$s)")],
        &["r15_"],
    ),
    mutation(
        "days not covered are folded into",
        &[(
            "        where c.bucket_start >= %7$s and c.bucket_start < %8$s",
            "        where c.bucket_start < %8$s or %7$s is null",
        )],
        &["r41_days"],
    ),
];
