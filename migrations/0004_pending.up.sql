-- Pending: what the rollups do not show yet, in the caller's snapshot.
--
-- The *shown state* is the source tables as the rollups show them: the source tables now minus the change rows. Then
--   pending = contributions(usage, tasks, agents, issues) now - contributions(the same) in the shown state, "then".
-- Tasks that are *moved* (their own key, their agent's workspace or their issue's project may differ between then and now) count with all
-- their usage: at the key now, minus, as it was, at the key then. For all others the key is the same now and then: their change rows are all of it.
--
-- Nothing here writes. Only new objects in schema tallybook.

create table tallybook.fold_mark (
  id bigint primary key,
  floor xid8 not null,
  open xid8[] not null,
  writer xid not null
);
comment on table tallybook.fold_mark is
  'A hint that saves walking over dead change rows: every change row that a complete fold''s snapshot could see is folded. It never decides.';
comment on column tallybook.fold_mark.floor is 'Change rows of earlier transactions are folded ...';
comment on column tallybook.fold_mark.open is '... but for those that were open then, and the fold''s own.';
comment on column tallybook.fold_mark.writer is
  'The transaction that wrote the row. A mark is valid only while this is the row''s xmin: after dump and restore transaction ids start over.';
alter table tallybook.fold_mark replica identity full;

-- The newest mark; none (floor 0) when there is none that is valid.
create function tallybook.mark(out floor xid8, out open xid8[])
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  select case when m.writer = m.xmin then m.floor else '0'::xid8 end, case when m.writer = m.xmin then m.open else '{}'::xid8[] end into floor, open
  from tallybook.fold_mark m order by m.id desc limit 1;
  if not found then
    floor := '0';
    open := '{}';
  end if;
end $$;
comment on function tallybook.mark is 'Which change rows may still be there: xid >= floor or xid = any (open).';

-- Here and in pending() the planner might walk the whole index of xids, dead entries and all, rather than look two ranges up.
create function tallybook.is_pending() returns boolean
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_indexonlyscan = off as $$
declare
  low xid8;
  opened xid8[];
begin
  select * into low, opened from tallybook.mark();
  return exists (select from tallybook.usage_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.task_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.agent_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.issue_change where xid >= low or xid = any (opened))
    or exists (select from tallybook.sealed_change where xid >= low or xid = any (opened));
end $$;
comment on function tallybook.is_pending is 'Whether any change row waits to be folded.';

create function tallybook.backlog(out usage_rows bigint, out task_rows bigint, out agent_rows bigint, out issue_rows bigint, out sealed_rows bigint,
    out oldest timestamptz)
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off as $$
declare
  low xid8;
  opened xid8[];
begin
  select * into low, opened from tallybook.mark();
  with waiting as (
    select 'usage' as kind, captured_at from tallybook.usage_change where xid >= low or xid = any (opened)
    union all select 'task', captured_at from tallybook.task_change where xid >= low or xid = any (opened)
    union all select 'agent', captured_at from tallybook.agent_change where xid >= low or xid = any (opened)
    union all select 'issue', captured_at from tallybook.issue_change where xid >= low or xid = any (opened)
    union all select 'sealed', captured_at from tallybook.sealed_change where xid >= low or xid = any (opened))
  select count(*) filter (where kind = 'usage'), count(*) filter (where kind = 'task'), count(*) filter (where kind = 'agent'),
    count(*) filter (where kind = 'issue'), count(*) filter (where kind = 'sealed'), min(captured_at)
  into usage_rows, task_rows, agent_rows, issue_rows, sealed_rows, oldest from waiting;
end $$;
comment on function tallybook.backlog is 'Change rows that wait to be folded, and when the oldest of them was captured.';

-- A snapshot older than an ALTER that rewrote a source table would see that table as empty. The catalog in the snapshot still names the old file.
create function tallybook.refuse_rewritten() returns void
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  partitioned regclass;
begin
  -- opening a table waits for whoever rewrites it
  perform from public.task_usage, public.agent_task_queue, public.agent, public.issue where false;
  if exists (select from pg_class where oid in ('public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass)
      and relfilenode <> pg_relation_filenode(oid)) then
    raise exception 'a source table was rewritten after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
  end if;
  for partitioned in
    select oid from pg_class
    where oid in ('public.task_usage'::regclass, 'public.agent_task_queue'::regclass, 'public.agent'::regclass, 'public.issue'::regclass) and relkind = 'p'
  loop
    execute format('select from %s limit 0', partitioned);
    -- the rows of a partition that was detached are gone from older snapshots, too; the catalog in the snapshot still names it
    if exists (
        select from (select inhrelid from pg_inherits where inhparent = partitioned) seen
        full join (select relid from pg_partition_tree(partitioned) where level = 1) present on relid = inhrelid
        where relid is null or inhrelid is null) then
      raise exception 'a partition came or went after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
    elsif exists (
        select from pg_partition_tree(partitioned) p join pg_class c on c.oid = p.relid
        where p.isleaf and c.relfilenode <> pg_relation_filenode(c.oid)) then
      raise exception 'a partition was rewritten after this snapshot was taken' using errcode = 'serialization_failure', hint = 'Retry the transaction.';
    end if;
  end loop;
end $$;
comment on function tallybook.refuse_rewritten is
  'Fails with 40001 when the snapshot is older than the present file of a source table or a partition of it, or than its present partitions.';

-- One template, three functions:
--   pending_by_lookup  small backlogs: index look-ups are forced (lateral ... offset 0), since the planner knows nothing of queues that are always being emptied
--   pending_by_join    large backlogs, or moves of many tasks: planned set-wise
--   pending_of_tasks   what a batch folds: some tasks' changes alone, with agents and issues held at then on both sides
do $generator$
declare
  template constant text := $template$
    with
      -- what was captured and is not folded
      usage_changes as materialized (
        select {key}, {tokens}, cost_usd_ticks, event_count from tallybook.usage_change c where {chosen}),
      task_changes as materialized (
        select task_id, agent_id, runtime_id, issue_id, sign from tallybook.task_change where {chosen}),
      agent_changes as materialized (
        select agent_id, workspace_id, sign from tallybook.agent_change where {waiting}),
      issue_changes as materialized (
        select issue_id, project_id, sign from tallybook.issue_change where {waiting}),
      -- tasks whose key may differ between then and now; one that left an agent or an issue is in task_changes itself
      moved as materialized (
        select distinct task_id from task_changes {moved_along}),
      usage_now as materialized (
        select u.* from moved m
        cross join lateral (
          select {key}, {tokens}, cost_usd_ticks, 1::bigint as event_count
          from (select * from tallybook.usage_rows() r where r.task_id = m.task_id {lookup}) c) u),
      task_now as materialized (
        select s.task_id, t.agent_id, t.runtime_id, t.issue_id
        from (select task_id from usage_changes union select task_id from task_changes) s
        cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = s.task_id {lookup}) t),
      task_then as materialized (
        select task_id, agent_id, runtime_id, issue_id
        from (
          select m.task_id, t.agent_id, t.runtime_id, t.issue_id, 1 as sign
          from moved m
          cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = m.task_id {lookup}) t
          union all select task_id, agent_id, runtime_id, issue_id, -sign from task_changes) x
        group by task_id, agent_id, runtime_id, issue_id having sum(sign) <> 0),
      agent_then as materialized (
        select agent_id, workspace_id
        from (
          select t.agent_id, a.workspace_id, 1 as sign
          from (select agent_id from task_then union select agent_id from {keyed_then}) t
          cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id {lookup}) a
          union all select agent_id, workspace_id, -sign from agent_changes) x
        group by agent_id, workspace_id having sum(sign) <> 0),
      issue_then as materialized (
        select issue_id, project_id
        from (
          select t.issue_id, i.project_id, 1 as sign
          from (select issue_id from task_then union select issue_id from {keyed_then}) t
          cross join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id {lookup}) i
          union all select issue_id, project_id, -sign from issue_changes) x
        group by issue_id, project_id having sum(sign) <> 0),
      signed as (
        -- at the key now: all usage of moved tasks, and what changed of the others
        select 1 as sign, d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select * from usage_now
          union all select c.* from usage_changes c where not exists (select from moved m where m.task_id = c.task_id)) d
        {keyed_now}
        union all
        -- at the key then, taken away: the usage of moved tasks as it was, which is now minus what changed
        select d.*, t.runtime_id, t.agent_id, a.workspace_id, i.project_id
        from (
          select -1 as sign, u.* from usage_now u
          union all select 1, c.* from usage_changes c where exists (select from moved m where m.task_id = c.task_id)) d
        join task_then t on t.task_id = d.task_id
        join agent_then a on a.agent_id = t.agent_id
        left join issue_then i on i.issue_id = t.issue_id)
    select x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model, {measures}
    from signed x
    group by x.bucket_start, x.workspace_id, x.runtime_id, x.agent_id, x.project_id, x.provider, x.model
  $template$;
  -- the same where nothing is moved
  unmoved constant text := $template$
    select d.bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, d.provider, d.model, {measures_unsigned}
    from (
      select {key}, {tokens}, cost_usd_ticks, event_count from tallybook.usage_change c where {waiting} {lookup}) d
    {keyed_now}
    group by d.bucket_start, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, d.provider, d.model
  $template$;
  moved_along constant text := $$
        union select t.id from (select distinct agent_id from agent_changes) c
          cross join lateral (select id from tallybook.task_rows() where agent_id = c.agent_id {lookup}) t
        union select t.id from (select distinct issue_id from issue_changes) c
          cross join lateral (select id from tallybook.task_rows() where issue_id = c.issue_id {lookup}) t$$;
  keyed_now constant text := $$cross join lateral (select agent_id, runtime_id, issue_id from tallybook.task_rows() where id = d.task_id {lookup}) t
        cross join lateral (select workspace_id from tallybook.agent_rows() where id = t.agent_id {lookup}) a
        left join lateral (select project_id from tallybook.issue_rows() where id = t.issue_id {lookup}) i on true$$;
  keyed_then constant text := $$join task_now t on t.task_id = d.task_id
        join agent_then a on a.agent_id = t.agent_id
        left join issue_then i on i.issue_id = t.issue_id$$;
  all_changes constant text := $function$
    create function tallybook.%s(low xid8, opened xid8[]) returns setof tallybook.contribution
      language plpgsql stable rows 500 security definer set search_path = pg_catalog, pg_temp set jit = off %s as $body$
    begin
      if exists (select from tallybook.task_change where {waiting}) or exists (select from tallybook.agent_change where {waiting})
          or exists (select from tallybook.issue_change where {waiting}) then
        return query %s;
      else
        return query %s;
      end if;
    end $body$
  $function$;
  some_tasks constant text := $function$
    create function tallybook.pending_of_tasks(low xid8, opened xid8[], chosen uuid[]) returns setof tallybook.contribution
      language plpgsql stable rows 500 security definer set search_path = pg_catalog, pg_temp set jit = off %s as $body$
    begin
      return query %s;
    end $body$
  $function$;
  by_lookup constant text := 'set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off set enable_sort = off set plan_cache_mode = force_generic_plan';
  sql text;
  form text;
begin
  foreach form in array array['lookup', 'join', 'tasks'] loop
    sql := case form
      when 'lookup' then format(all_changes, 'pending_by_lookup', by_lookup, template, unmoved)
      when 'join' then format(all_changes, 'pending_by_join', 'set enable_seqscan = on set plan_cache_mode = force_custom_plan', template, unmoved)
      else format(some_tasks, by_lookup, template)
    end;
    sql := replace(sql, '{keyed_now}', case form when 'tasks' then keyed_then else keyed_now end);
    sql := replace(sql, '{keyed_then}', case form when 'tasks' then 'task_now' else 'task_then' end);
    sql := replace(sql, '{moved_along}', case form when 'tasks' then '' else moved_along end);
    sql := replace(sql, '{chosen}', case form when 'tasks' then '{waiting} and task_id in (select unnest(chosen))' else '{waiting}' end);
    sql := replace(sql, '{waiting}', '(xid >= low or xid = any (opened))');
    sql := replace(sql, '{lookup}', case form when 'join' then '' else 'offset 0' end);
    sql := replace(sql, '{key}', tallybook.canonical_key('c'));
    sql := replace(sql, '{tokens}', array_to_string(tallybook.token_measures(), ', '));
    sql := replace(sql, '{measures}', tallybook.measures_of('x', 'x.sign * '));
    sql := replace(sql, '{measures_unsigned}', tallybook.measures_of('d'));
    execute sql;
  end loop;
end $generator$;
comment on function tallybook.pending_by_lookup is 'What is pending, by index look-ups: for small backlogs.';
comment on function tallybook.pending_by_join is 'What is pending, planned set-wise: for large backlogs.';
comment on function tallybook.pending_of_tasks is 'What is pending of some tasks alone, with agents and issues as the rollups show them.';

create function tallybook.pending() returns setof tallybook.contribution
  language plpgsql stable rows 500 security definer set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_indexonlyscan = off as $$
declare
  -- a look-up costs about as much as ten rows of a scan
  lookups_max constant bigint := (select greatest(20000, reltuples / 10) from pg_class where oid = 'public.agent_task_queue'::regclass);
  low xid8;
  opened xid8[];
  lookups bigint;
begin
  perform tallybook.refuse_rewritten();
  if not tallybook.is_pending() then
    return;
  end if;
  select * into low, opened from tallybook.mark();
  -- the keys of what is sealed are final: nothing has to be looked up
  return query select bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks, uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens,
    uncosted_cache_write_tokens, uncosted_cache_write_1h_tokens, event_count
  from tallybook.sealed_change where xid >= low or xid = any (opened);
  select (select count(*) from (select from tallybook.usage_change where xid >= low or xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.task_change where xid >= low or xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.agent_change c join tallybook.task_rows() t on t.agent_id = c.agent_id
        where c.xid >= low or c.xid = any (opened) limit lookups_max) x)
    + (select count(*) from (select from tallybook.issue_change c join tallybook.task_rows() t on t.issue_id = c.issue_id
        where c.xid >= low or c.xid = any (opened) limit lookups_max) x)
  into lookups;
  if lookups < lookups_max then
    return query select * from tallybook.pending_by_lookup(low, opened);
  else
    return query select * from tallybook.pending_by_join(low, opened);
  end if;
end $$;
comment on function tallybook.pending is
  'What the rollups do not show yet, in the caller''s snapshot: contributions now minus contributions in the state that they show. A key may come twice.';

revoke all on all functions in schema tallybook from public;
