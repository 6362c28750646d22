-- Takes the triggers off the source tables, and drops what they logged.
do $$
declare
  source text;
begin
  foreach source in array array['task_usage', 'agent_task_queue', 'agent', 'issue'] loop
    execute format('drop trigger if exists tallybook_insert on public.%s', source);
    execute format('drop trigger if exists tallybook_update on public.%s', source);
    execute format('drop trigger if exists tallybook_delete on public.%s', source);
    execute format('drop trigger if exists tallybook_truncate on public.%s', source);
  end loop;
end $$;
drop function tallybook.capture_faults(), tallybook.capture_usage_by(text), tallybook.capture_usage(), tallybook.capture_task(), tallybook.capture_agent(),
  tallybook.capture_issue(), tallybook.refuse_truncate();
drop table tallybook.usage_change, tallybook.task_change, tallybook.agent_change, tallybook.issue_change;
