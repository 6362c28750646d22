-- Change rows that wait to be folded, and the age of the oldest; 0 where none waits.
select usage_rows, task_rows, agent_rows, issue_rows, sealed_rows,
  greatest(0, coalesce(extract(epoch from clock_timestamp() - oldest), 0))::double precision as lag_seconds
from tallybook.backlog()
