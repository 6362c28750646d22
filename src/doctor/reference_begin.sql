-- Makes room for the reference. Rolled back by whoever runs it; a second examination at the same time waits for the first.
set local search_path = pg_catalog;
set local lock_timeout = '10s';
set local client_min_messages = warning;
create schema tallybook_reference;
create schema tallybook_reference_public;
-- Of adopted tables the migrations make nothing: there are tables with the same columns.
set local check_function_bodies = off;
select set_config('tallybook_reference.adopt', 'on', true) where tallybook.is_adopted();
do $$
declare
  source text;
begin
  if tallybook.is_adopted() then
    foreach source in array array['task_usage', 'agent_task_queue', 'agent', 'issue'] loop
      execute format('create table tallybook_reference_public.%1$I (like public.%1$I)', source);
    end loop;
  end if;
end $$;
