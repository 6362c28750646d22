-- $1 runtime: its last 30 days by day, provider and model.
select bucket_date, provider, model, sum(input_tokens)::numeric as input_tokens, sum(output_tokens)::numeric as output_tokens,
  sum(cache_read_tokens)::numeric as cache_read_tokens, sum(cache_write_tokens)::numeric as cache_write_tokens, sum(event_count)::bigint as event_count
from {rollup}
where runtime_id = $1 and bucket_date >= current_date - 29
group by 1, 2, 3
order by 1 desc, 2, 3
