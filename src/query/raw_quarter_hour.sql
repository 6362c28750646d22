(
  -- in the place of the quarter hours' now-view; the bounds on happened_at are there for the index
  select c.*
  from tallybook.contribution() c
  where c.happened_at >= $2 and c.happened_at < $3)
