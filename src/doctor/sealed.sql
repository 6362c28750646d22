-- Usage that was sealed and is there again, so that it counts twice; and sealed usage of who is gone. Reads raw usage whole where any is sealed.
with
  -- the columns by the names that they have here
  names as (
    select min(coalesce(column_name, name)) filter (where name = 'task_id') as task_id, min(coalesce(column_name, name)) filter (where name = 'provider') as provider,
      min(coalesce(column_name, name)) filter (where name = 'model') as model, min(coalesce(column_name, name)) filter (where name = 'event_key') as event_key
    from tallybook.source_columns() where source = 'task_usage'),
  -- where nothing holds them unique, as hosts have it that write a row for each request, rows that look the same are rows of their own
  identities as (
    select exists (
      select from pg_index i
      where i.indrelid = 'public.task_usage'::regclass and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
        and not exists (
          select from unnest(i.indkey[0:i.indnkeyatts - 1]) as k (number)
          where not exists (
            select from tallybook.source_columns() c
            where c.source = 'task_usage' and c.name in ('task_id', 'provider', 'model', 'event_key') and c.number = k.number))) as are_unique),
  again as (
    select count(*) as rows, min(u.task_id::text) as example
    from (
      select (j ->> names.task_id)::uuid as task_id, j ->> names.provider as provider, j ->> names.model as model, j ->> names.event_key as event_key
      from public.task_usage u
      cross join lateral to_jsonb(u) as j
      cross join names
      where exists (select from tallybook.sealed_identity) and (select are_unique from identities)) u
    join tallybook.sealed_identity s on s.digest = tallybook.identity_digest(u.task_id, u.provider, u.model, u.event_key)
    where exists (select from tallybook.sealed_identity) and (select are_unique from identities))
select 'danger' as severity, 'sealed_again' as code, 'table public.task_usage' as place,
  format('%s of its rows were sealed before and written again, past the service: they count twice (task %s, say)', rows, example) as what,
  'Find out who writes them, and delete the rows.' as advice,
  format('delete from public.task_usage u using tallybook.sealed_identity s where s.digest = tallybook.identity_digest(u.%I, u.%I::text, u.%I::text, to_jsonb(u) ->> %L)',
    names.task_id, names.provider, names.model, names.event_key) as sql
from again, names
where rows > 0
union all
select 'note', 'sealed_orphans', 'table tallybook.sealed_usage',
  format('it holds usage of %s agents that are gone: deleting an agent with SQL keeps what is sealed', count(*)),
  'Leave it, or take it out of every total with tallybook.purge_sealed.',
  format('select tallybook.purge_sealed(''agent'', %L)', min(gone.agent_id::text))
from (
  select distinct s.agent_id from tallybook.sealed_usage s
  where not exists (select from tallybook.agent_rows() a where a.id = s.agent_id)) gone
having count(*) > 0
