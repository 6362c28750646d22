-- What the database holds, to be compared after a restore. Text: sums of counts have no bound.
select
  (select count(*) from public.task_usage) as usage_rows,
  (select count(*) from public.agent_task_queue) as task_rows,
  (select coalesce(sum(input_tokens::numeric), 0)::text from public.task_usage) as input_tokens,
  (select coalesce(sum(output_tokens::numeric), 0)::text from public.task_usage) as output_tokens,
  (select count(*) from tallybook.usage_change) + (select count(*) from tallybook.task_change)
    + (select count(*) from tallybook.agent_change) + (select count(*) from tallybook.issue_change) as pending_rows
