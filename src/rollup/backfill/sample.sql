-- Sums of the newest $1 raw rows at their full key, as a slice makes them; gives how many rows that were.
select coalesce(sum(events), 0)::bigint
from (
  select sum(event_count) as events, sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cost_usd_ticks)
  from (select * from tallybook.contribution() order by happened_at desc nulls last limit $1) newest
  group by bucket_start, workspace_id, runtime_id, agent_id, project_id, provider, model) sums
