select rollup, is_covered, raw_rows_left, is_estimate, rows_per_second::double precision,
  extract(epoch from time_left)::double precision as seconds_left, last_slice_finished_at
from tallybook.backfill_progress
order by rollup
