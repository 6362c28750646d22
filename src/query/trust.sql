-- Whether the now-view of rollup $1 may be trusted: no day of it is known to differ from raw, and every change is captured.
-- Each read asks it, so it looks the triggers up by itself: tallybook.capture_faults(), which says what is wrong, costs ten times as much.
select not exists (select from tallybook.drift where rollup = $1)
  and not exists (select from tallybook.capture_break)
  and 20 = (
    select count(*)
    from pg_trigger t
    where t.tgrelid in (
        'public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass,
        'tallybook.sealed_usage'::regclass)
      and t.tgname in ('tallybook_insert', 'tallybook_update', 'tallybook_delete', 'tallybook_truncate')
      and t.tgenabled in ('O', 'A')
      -- and misses no rows: those that go past the table, or that a subscription writes
      and (t.tgname = 'tallybook_truncate'
        or (t.tgtype & 1 = 1 or not exists (select from pg_inherits where t.tgrelid in (inhrelid, inhparent)))
          and (t.tgenabled = 'A' or not exists (
            select from pg_subscription_rel
            where srrelid = t.tgrelid or srrelid in (select relid from pg_partition_tree(t.tgrelid))))))
