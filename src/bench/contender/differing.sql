-- In how many keys what a contender shows differs from the sums of the raw rows, in one snapshot.
with
  shown as materialized (
    {shown}),
  raw as materialized (
    {raw})
select count(distinct (bucket_date, workspace_id, runtime_id, provider, model))
from ((table shown except all table raw) union all (table raw except all table shown)) differing
