-- Jobs in the database $1 that call the usual design's tick or its window: the function by that name in public, not ours in tallybook.
select jobid as job_id, jobname::text as name, schedule, command, active
from cron.job
where database = $1
  and command ~* '\mrollup_task_usage_daily(_window)?\s*\('
  and command !~* '\mtallybook"?\s*\.\s*"?rollup_task_usage_daily'
order by jobid
