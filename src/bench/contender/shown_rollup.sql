select bucket_date, workspace_id, runtime_id, provider collate "C" as provider, model collate "C" as model, input_tokens::numeric as input_tokens,
  output_tokens::numeric as output_tokens, cache_read_tokens::numeric as cache_read_tokens, cache_write_tokens::numeric as cache_write_tokens,
  event_count::bigint as event_count
from {rollup}
