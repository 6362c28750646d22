-- Whether the now-view of rollup $1 may be trusted: no day of it is known to differ from raw, and every change is captured.
-- Each read asks it, so it looks the triggers up by itself: tallybook.capture_faults(), which says what is wrong, costs ten times as much.
select not exists (select from tallybook.drift where rollup = $1)
  and not exists (select from tallybook.capture_break)
  and 20 = (
    select count(*)
    from pg_trigger
    where tgrelid in (
        'public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass,
        'tallybook.sealed_usage'::regclass)
      and tgname in ('tallybook_insert', 'tallybook_update', 'tallybook_delete', 'tallybook_truncate')
      and tgenabled in ('O', 'A'))
