-- Usage that belongs to nobody: it counts from the moment that its task, and that task's agent, are there. Reads both tables whole.
with missing as (
  select case when t.id is null then 'task' else 'agent' end as lacks, count(*) as rows, min(u.task_id::text) as example
  from tallybook.usage_rows() u
  left join tallybook.task_rows() t on t.id = u.task_id
  left join tallybook.agent_rows() a on a.id = t.agent_id
  where a.id is null
  group by 1)
select 'warning' as severity, 'usage_without_' || lacks as code, 'table public.task_usage' as place,
  format('%s of its rows are in no sum: their %s is missing (task %s, say)', rows, case lacks when 'task' then 'task' else 'task''s agent' end, example) as what,
  'Insert what is missing, or delete the rows.' as advice, null as sql
from missing
