-- An infinite bound has no value in most languages: null and a flag stand for it.
select
  r.name,
  greatest(c.reltuples, 0)::bigint as rows_estimated,
  pg_total_relation_size(c.oid) as size_bytes,
  case when isfinite(r.covered_from) then r.covered_from end as covered_from,
  r.covered_from = 'infinity' as uncovered
from tallybook.rollup r
join pg_class c on c.oid = to_regclass('tallybook.' || r.name)
order by r.name
