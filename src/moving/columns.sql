-- The columns of the usual design's table; none where there is no such table.
select a.attname::text
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.oid = to_regclass('public.task_usage_daily') and c.relkind in ('r', 'p')
