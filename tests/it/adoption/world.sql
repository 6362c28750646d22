-- What a host does all day, whatever its tables are made of: rows of the same few ids, written, corrected, moved and deleted at random.
create schema host;
-- The same world each time, until the writers begin.
select setseed(0.4);
create function host.id(kind integer, number integer) returns uuid language sql immutable
  return format('00000000-0000-4000-8000-%s%s', lpad(kind::text, 4, '0'), lpad(number::text, 8, '0'))::uuid;
create function host.any_of(kind integer, most integer) returns uuid language sql volatile
  return host.id(kind, 1 + floor(random() * most)::integer);
create function host.provider() returns text language sql volatile
  return (array['Claude', 'openai', 'Gemini'])[1 + floor(random() * 3)::integer];
create function host.moment() returns text language sql volatile
  return to_char(timestamptz '2025-12-30 00:00+00' + random() * interval '40 days', 'YYYY-MM-DD HH24:MI:SS.US');

-- Each writer has tasks of its own, as dispatchers have: so the host's statements wait for each other, and never in a circle.
create function host.task_of(writer integer) returns uuid language sql volatile
  return host.id(4, 1 + writer + 4 * floor(random() * 15)::integer);

create function host.insert_usage(task uuid) returns void language plpgsql as $$
begin
  execute format('insert into public.task_usage (id, task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, created_at)
    select gen_random_uuid(), id, %L, %L, %s, %s, %s, %L from public.agent_task_queue where id = %L on conflict do nothing',
    host.provider(), 'model-' || floor(random() * 3), floor(random() * 1000), floor(random() * 1000), floor(random() * 10),
    host.moment(), task);
end $$;

create function host.write(writer integer) returns void language plpgsql as $$
declare
  chosen constant integer := floor(random() * 100);
  task constant uuid := host.task_of(writer);
begin
  case
    when chosen < 45 then
      perform host.insert_usage(task);
    when chosen < 60 then
      execute format('update public.task_usage set input_tokens = input_tokens + %s, output_tokens = %s where task_id = %L',
        floor(random() * 50), floor(random() * 50), task);
    when chosen < 66 then
      execute format('update public.task_usage set model = left(model, 60) || %L, created_at = %L where id in (select id from public.task_usage where task_id = %L limit 1)',
        '-' || left(md5(random()::text), 6), host.moment(), task);
    when chosen < 72 then
      execute format('update public.task_usage u set task_id = %L, provider = %L
        where id in (select id from public.task_usage where task_id = %L limit 1) and exists (select from public.agent_task_queue where id = %1$L)
          and not exists (select from public.task_usage o where o.task_id = %1$L and o.model = u.model)', task, host.provider(), host.task_of(writer));
    when chosen < 78 then
      execute format('delete from public.task_usage where id in (select id from public.task_usage where task_id = %L limit 2)', task);
    when chosen < 84 then
      execute format('update public.agent_task_queue set runtime_id = %L where id = %L', host.any_of(2, 3), task);
    when chosen < 88 then
      execute format('update public.agent_task_queue set issue_id = %s where id = %L', case when random() < 0.3 then 'null' else quote_literal(host.any_of(6, 6)) end, task);
    when chosen < 91 then
      execute format('update public.agent_task_queue set agent_id = %L where id = %L', host.any_of(3, 5), task);
    when chosen < 93 then
      execute format('update public.agent set workspace_id = %L where id = %L', host.any_of(1, 2), host.any_of(3, 5));
    when chosen < 95 then
      execute format('update public.issue set project_id = %L where id = %L', host.any_of(5, 3), host.any_of(6, 6));
    when chosen < 97 then
      execute format('delete from public.agent_task_queue where id = %L', task);
    else
      execute format('insert into public.agent_task_queue (id, agent_id, runtime_id, issue_id) values (%L, %L, %L, %L) on conflict do nothing',
        task, host.any_of(3, 5), host.any_of(2, 3), host.any_of(6, 6));
  end case;
end $$;

insert into public.workspace (id, name) select host.id(1, n), 'w' || n from generate_series(1, 2) n;
do $$
begin
  execute format('insert into public.agent_runtime (id, workspace_id, name %s) select host.id(2, n), host.id(1, 1 + n %% 2), %L %s from generate_series(1, 3) n',
    case when exists (select from pg_attribute where attrelid = 'public.agent_runtime'::regclass and attname = 'provider') then ', provider' end, 'r',
    case when exists (select from pg_attribute where attrelid = 'public.agent_runtime'::regclass and attname = 'provider') then ', ''p''' end);
end $$;
insert into public.agent (id, workspace_id, name) select host.id(3, n), host.id(1, 1 + n % 2), 'a' || n from generate_series(1, 5) n;
insert into public.project (id, workspace_id, title) select host.id(5, n), host.id(1, 1), 'p' || n from generate_series(1, 3) n;
insert into public.issue (id, workspace_id, title, project_id) select host.id(6, n), host.id(1, 1), 'i' || n, host.id(5, 1 + n % 3) from generate_series(1, 6) n;
insert into public.agent_task_queue (id, agent_id, runtime_id, issue_id)
select host.id(4, n), host.id(3, 1 + n % 5), host.id(2, 1 + n % 3), case when n % 4 > 0 then host.id(6, 1 + n % 6) end from generate_series(1, 60) n;
select count(host.insert_usage(host.task_of(n % 4))) from generate_series(1, 400) n;
