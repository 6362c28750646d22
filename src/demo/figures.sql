-- Change rows that are not folded, and the age of the oldest in milliseconds.
select
  usage_rows + task_rows + agent_rows + issue_rows + sealed_rows,
  greatest(0, coalesce(extract(epoch from clock_timestamp() - oldest) * 1000, 0))::bigint
from tallybook.backlog()
