-- Whether the table has a unique key of the columns $1, in whatever order.
select exists (
  select from pg_index i
  where i.indrelid = to_regclass('public.task_usage_daily') and i.indisunique and i.indisvalid and i.indpred is null
    and i.indnkeyatts = cardinality($1::text[])
    and not exists (
      select from unnest(i.indkey[0:i.indnkeyatts - 1]) as k (attnum)
      left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
      where a.attname::text <> all ($1) or a.attname is null))
