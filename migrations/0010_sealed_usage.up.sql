-- Sealing: moves old usage out of public.task_usage while every sum stays. The truth is raw plus sealed (tallybook.contribution), and both sides of the
-- move are captured, so that what is pending is nothing in sum. Only new objects in schema tallybook; no lock on the source tables.
--
-- Invariant: a row of raw usage is deleted, its contribution sealed and its identity kept in one statement.
-- Lock order of who seals: the tables; the seal lock; tasks, agents, issues and usage, each of which is skipped where somebody else has it. It waits for
-- no row, and so is in no deadlock. Whoever purges takes the seal lock last.

create table tallybook.sealed_identity (
  digest uuid primary key
);
alter table tallybook.sealed_identity replica identity full;
comment on table tallybook.sealed_identity is 'Which usage was sealed, so that it does not count again when it is reported again: a digest of each identity, for good.';
comment on column tallybook.sealed_identity.digest is 'See tallybook.identity_digest.';

create index sealed_usage_thinned on tallybook.sealed_usage (bucket_start) where is_thinned;

create function tallybook.identity_digest(task_id uuid, provider text, model text, event_key text) returns uuid
  language sql immutable parallel safe
  return pg_catalog.encode(pg_catalog.substring(pg_catalog.sha256(pg_catalog.convert_to(
    coalesce(task_id::text, '') || ':' || coalesce(pg_catalog.length(provider), 0) || ':' || coalesce(pg_catalog.lower(provider collate "C"), '')
      || ':' || coalesce(pg_catalog.length(model), 0) || ':' || coalesce(model, '') || ':' || coalesce(event_key, ''), 'UTF8')), 1, 16), 'hex')::uuid;
comment on function tallybook.identity_digest is 'The 16 bytes by which the identity of a usage row is known after it was sealed, however its provider is spelt.';

-- Locks and preconditions ------------------------------------------------------------------------------------------------------------------------

create function tallybook.wait_for_seal_lock() returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '30s' as $$
begin
  perform pg_advisory_xact_lock((1399157100::bigint << 32) | 'tallybook'::regnamespace::oid::bigint);
exception when lock_not_available then
  raise exception 'somebody else seals or purges usage' using errcode = 'lock_not_available', hint = 'Try again later.';
end $$;
comment on function tallybook.wait_for_seal_lock is
  'Takes the lock that every writer of sealed usage holds, to the end of the transaction, waiting for at most 30 seconds.';

create function tallybook.require_sealable(since timestamptz, until timestamptz) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  obstacle text;
begin
  if since is null or until is null or since <> date_trunc('day', since, 'UTC') or until <> date_trunc('day', until, 'UTC') then
    raise exception 'usage is sealed in whole UTC days' using errcode = 'invalid_parameter_value';
  elsif until > date_trunc('day', clock_timestamp(), 'UTC') then
    raise exception 'usage is sealed when its UTC day is over' using errcode = 'invalid_parameter_value';
  elsif current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'usage cannot be sealed in isolation level %', current_setting('transaction_isolation') using errcode = 'active_sql_transaction',
      hint = 'Call this function in a READ COMMITTED transaction.';
  end if;
  select name into obstacle from tallybook.rollup where covered_from > since order by name limit 1;
  if found then
    raise exception 'the rollup % does not cover these days', obstacle using errcode = 'object_not_in_prerequisite_state',
      hint = 'Run `tallybook backfill` first.';
  end if;
  select rollup into obstacle from tallybook.drift
  where day >= (since at time zone 'UTC')::date and day < (until at time zone 'UTC')::date order by rollup limit 1;
  if found then
    raise exception 'the rollup % differs from raw usage on these days', obstacle using errcode = 'object_not_in_prerequisite_state',
      hint = 'Run `tallybook doctor`, then `tallybook repair`.';
  end if;
end $$;
comment on function tallybook.require_sealable is
  'Fails unless [since, until) are whole UTC days that are over, that every rollup covers, and on which none is known to differ.';

-- Seal -------------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.seal(since timestamptz, until timestamptz, after timestamptz, rows_max bigint,
    out rows_sealed bigint, out go_on_after timestamptz)
  language plpgsql security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set jit = off set lock_timeout = '5s' as $$
declare
  -- the first day holds what has no time
  or_none constant text := case when since > '0001-01-01 00:00+00' then '' else ' or happened_at is null' end;
  happened constant text := format('%s and (happened_at >= %L%s)', tallybook.happened_in(since, until), coalesce(after, '-infinity'), or_none);
  event_key constant text := case when exists (select from tallybook.source_columns() where source = 'task_usage' and name = 'event_key' and number is not null)
    then tallybook.column_of('u', 'task_usage', 'event_key') || '::text' else '''''' end;
  -- adopted tables may have other names for them
  task_id constant text := tallybook.column_of('t', 'agent_task_queue', 'id');
  agent_id constant text := tallybook.column_of('a', 'agent', 'id');
  issue_id constant text := tallybook.column_of('i', 'issue', 'id');
  agent_of_task constant text := tallybook.column_of('t', 'agent_task_queue', 'agent_id');
  issue_of_task constant text := tallybook.column_of('t', 'agent_task_queue', 'issue_id');
  tasks uuid[];
  agents uuid[];
  issues uuid[];
  reached timestamptz;
  rows_seen bigint;
  kept bigint;
begin
  perform tallybook.lock_sources();
  lock table public.task_usage in row exclusive mode;
  lock table public.agent_task_queue, public.agent, public.issue in row share mode;
  perform tallybook.wait_for_seal_lock();
  perform tallybook.require_sealable(since, until);

  execute format('select count(*), max(happened_at), array_agg(distinct task_id)
    from (select task_id, happened_at from tallybook.usage_rows() where %s order by happened_at limit $1) x', happened)
  into rows_seen, reached, tasks using rows_max;
  -- what decides the keys stays as it is until the transaction ends: else a move that commits meanwhile would be undone by what is sealed. Who
  -- reports holds a lock on the task, too, and has to see what was sealed before.
  execute format('select array(select %1$s from public.agent_task_queue t where %1$s = any ($1) order by %1$s for update skip locked)', task_id)
  into tasks using tasks;
  execute format('select array(
      select %1$s from public.agent a
      where %1$s in (select %2$s from public.agent_task_queue t where %3$s = any ($1)) order by %1$s for share skip locked)', agent_id, agent_of_task, task_id)
  into agents using tasks;
  execute format('select array(
      select %1$s from public.issue i
      where %1$s in (select %2$s from public.agent_task_queue t where %3$s = any ($1)) order by %1$s for share skip locked)', issue_id, issue_of_task, task_id)
  into issues using tasks;
  tasks := array(
    select t.id from tallybook.task_rows() t
    where t.id = any (tasks) and t.agent_id = any (agents)
      and (t.issue_id = any (issues) or not exists (select from tallybook.issue_rows() i where i.id = t.issue_id)));

  execute format($sql$
    with
      chosen as materialized (
        select u.tableoid as relation, u.ctid as place from public.task_usage u
        where %8$s = any ($1) and %1$s
        for update skip locked),
      removed as (
        delete from public.task_usage u using chosen c where u.ctid = c.place and u.tableoid = c.relation and %1$s
        returning %2$s, 1::bigint as event_count, tallybook.identity_digest(%8$s, %9$s::text, %10$s::text, %3$s) as digest),
      identified as (
        insert into tallybook.sealed_identity (digest) select distinct digest from removed on conflict do nothing),
      keyed as (
        select %4$s, a.workspace_id, t.runtime_id, t.agent_id, i.project_id, %5$s, c.cost_usd_ticks, c.event_count
        from removed c
        join tallybook.task_rows() t on t.id = c.task_id
        join tallybook.agent_rows() a on a.id = t.agent_id
        left join tallybook.issue_rows() i on i.id = t.issue_id),
      sealed as (
        insert into tallybook.sealed_usage (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model, %6$s)
        select k.bucket_start, k.workspace_id, k.runtime_id, k.agent_id, k.project_id, k.provider, k.model, %7$s
        from keyed k
        group by k.bucket_start, k.workspace_id, k.runtime_id, k.agent_id, k.project_id, k.provider, k.model
        returning event_count)
    select (select count(*) from removed), (select coalesce(sum(event_count), 0) from sealed)$sql$,
    replace(format('%s and (happened_at <= $2%s)', happened, or_none), 'happened_at', tallybook.usage_time('u')),
    tallybook.usage_image('u'),
    event_key,
    tallybook.canonical_key('c'),
    tallybook.each('c.{}', tallybook.token_measures()),
    array_to_string(tallybook.measures(), ', '),
    tallybook.measures_of('k'),
    tallybook.column_of('u', 'task_usage', 'task_id'),
    tallybook.column_of('u', 'task_usage', 'provider'),
    tallybook.column_of('u', 'task_usage', 'model'))
  into rows_sealed, kept using tasks, reached;
  if rows_sealed <> kept then
    raise exception '% rows of usage were to be sealed, and % would have been', rows_sealed, kept using errcode = 'data_corrupted';
  end if;
  go_on_after := case
    when rows_seen < rows_max then null
    -- there may be more of the same time
    when rows_sealed > 0 then coalesce(reached, after, '-infinity')
    -- all that was looked at has to stay: go on behind it
    when reached is not distinct from after then greatest(reached + interval '1 microsecond', '4713-01-01 00:00+00 BC')
    else reached
  end;
end $$;
comment on function tallybook.seal is
  'Seals usage of whole UTC days, [since, until): of the first rows_max rows from `after` on, those that nobody else is writing. Returns the rows sealed, and where to go on; null where the days are done.';

create function tallybook.thin(since timestamptz, until timestamptz, out rows_removed bigint, out rows_written bigint)
  language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off set lock_timeout = '5s' as $$
begin
  perform tallybook.lock_sources();
  lock table tallybook.sealed_usage in row exclusive mode;
  perform tallybook.wait_for_seal_lock();
  perform tallybook.require_sealable(since, until);
  if not exists (select from tallybook.sealed_usage s where s.bucket_start >= since and s.bucket_start < until and not s.is_thinned) then
    rows_removed := 0;
    rows_written := 0;
    return;
  end if;
  with
    removed as (
      delete from tallybook.sealed_usage s where s.bucket_start >= since and s.bucket_start < until returning *),
    thinned as (
      insert into tallybook.sealed_usage (bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, cost_usd_ticks,
        uncosted_input_tokens, uncosted_output_tokens, uncosted_cache_read_tokens, uncosted_cache_write_tokens,
        uncosted_cache_write_1h_tokens, event_count, is_thinned)
      select date_trunc('day', r.bucket_start, 'UTC'), r.workspace_id, r.runtime_id, r.agent_id, r.project_id, r.provider, r.model,
        sum(r.input_tokens), sum(r.output_tokens), sum(r.cache_read_tokens), sum(r.cache_write_tokens),
        sum(r.cache_write_1h_tokens), sum(r.cost_usd_ticks), sum(r.uncosted_input_tokens),
        sum(r.uncosted_output_tokens), sum(r.uncosted_cache_read_tokens), sum(r.uncosted_cache_write_tokens),
        sum(r.uncosted_cache_write_1h_tokens), sum(r.event_count), true
      from removed r
      group by date_trunc('day', r.bucket_start, 'UTC'), r.workspace_id, r.runtime_id, r.agent_id, r.project_id, r.provider, r.model
      returning 1)
  select (select count(*) from removed), (select count(*) from thinned) into rows_removed, rows_written;
end $$;
comment on function tallybook.thin is
  'Makes one row a UTC day and key of the sealed usage of whole UTC days, [since, until). Their quarter hours are lost; days, agents and projects stay.';

-- Partitions --------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.old_partitions(before timestamptz) returns setof regclass
  language sql stable security definer set search_path = pg_catalog, pg_temp set datestyle = 'ISO' set timezone = 'UTC' as $function$
  -- the upper bound of a range of times; a partition of another kind, or the default one, has none
  select i.inhrelid::regclass
  from pg_inherits i
  join pg_class c on c.oid = i.inhrelid
  join pg_partitioned_table p on p.partrelid = i.inhparent
  join pg_attribute a on a.attrelid = i.inhparent and a.attnum = p.partattrs[0]
  where i.inhparent = 'public.task_usage'::regclass and not i.inhdetachpending and p.partstrat = 'r' and p.partnatts = 1
    and quote_ident(a.attname) = substring(tallybook.column_of('', 'task_usage', 'created_at') from 2)
    and substring(pg_get_expr(c.relpartbound, c.oid) from $re$ TO \('([^']+)'\)$$re$)::timestamptz <= before
  order by i.inhrelid::regclass::text
$function$;
comment on function tallybook.old_partitions is 'The partitions of public.task_usage that hold only what happened before a time.';

create function tallybook.detach_partition(partition regclass) returns boolean
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' as $$
declare
  left_over boolean;
begin
  -- parent first, as everybody else; both for as long as it takes to look and to detach
  lock table only public.task_usage in access exclusive mode;
  if not exists (select from pg_inherits where inhrelid = partition and inhparent = 'public.task_usage'::regclass) then
    return false;
  end if;
  execute format('lock table %s in access exclusive mode', partition);
  execute format('select exists (select from %s)', partition) into left_over;
  if not left_over then
    -- nothing of it goes past the triggers
    delete from tallybook.source_file f
    where f.source = partition::text or f.source in (select p.relid::regclass::text from pg_partition_tree(partition) p);
    execute format('alter table public.task_usage detach partition %s', partition);
  end if;
  return not left_over;
end $$;
comment on function tallybook.detach_partition is
  'Detaches a partition of public.task_usage of which everything is sealed; false where something is left. It stays as an empty table of its own.';

-- Purge ------------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.purge_sealed(kind text, id uuid) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  touched bigint;
begin
  perform tallybook.wait_for_seal_lock();
  case kind
    when 'workspace' then delete from tallybook.sealed_usage s where s.workspace_id = purge_sealed.id;
    when 'agent' then delete from tallybook.sealed_usage s where s.agent_id = purge_sealed.id;
    when 'runtime' then update tallybook.sealed_usage s set runtime_id = null where s.runtime_id = purge_sealed.id;
    when 'project' then update tallybook.sealed_usage s set project_id = null where s.project_id = purge_sealed.id;
    else raise exception 'sealed usage is not known by its %', quote_nullable(kind) using errcode = 'invalid_parameter_value',
      hint = 'It is by workspace, agent, runtime and project.';
  end case;
  get diagnostics touched = row_count;
  if touched > 0 then
    perform tallybook.record_audit('database', null, null, 'usage.purge', case kind when 'workspace' then id end, kind || ' ' || id,
      jsonb_build_object('sealed_rows', touched));
  end if;
  return touched;
end $$;
comment on function tallybook.purge_sealed is
  'Takes a workspace or an agent out of sealed usage with what it used; a runtime or a project leaves its usage to nobody, as it does that of tasks. Call it after the entity was deleted, in the same READ COMMITTED transaction. Returns the rows changed.';

-- What readers have to know ------------------------------------------------------------------------------------------------------------------------

create function tallybook.tasks_complete_from() returns timestamptz
  language sql stable security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select date_trunc('day', max(bucket_start), 'UTC') + interval '24 hours' from tallybook.sealed_usage;
  end;
comment on function tallybook.tasks_complete_from is
  'From when on usage is known by its task and issue: the end of the last UTC day of which some is sealed. Null: all is.';

create function tallybook.quarter_hours_exact_from() returns timestamptz
  language sql stable security definer set search_path = pg_catalog, pg_temp
  begin atomic
    select max(bucket_start) + interval '24 hours' from tallybook.sealed_usage where is_thinned;
  end;
comment on function tallybook.quarter_hours_exact_from is
  'From when on usage is known by its quarter hour: the end of the last UTC day that was thinned. Null: all is. Before it, a thinned day''s usage is shown in the day''s first quarter hour.';

revoke all on all functions in schema tallybook from public;
