-- Days [$1, $2), null where a bound is open; $3 the day of the table's watermark; $4 how many keys to name. Names enter keys as ours do:
-- two spellings of a provider are no difference.
with
  both_sides as (
    select true as is_table, bucket_date::date as bucket_date, workspace_id, runtime_id, tallybook.provider_key(provider::text collate "C") as provider,
      tallybook.name_key(model::text collate "C") as model, {as they are}
    from public.task_usage_daily
    where ($1::date is null or bucket_date >= $1) and ($2::date is null or bucket_date < $2)
    union all
    select false, (bucket_start at time zone 'UTC')::date, workspace_id, runtime_id, provider collate "C", model collate "C", {as they are}
    from tallybook.contribution()
    where ($1::date is null or happened_at >= $1::date::timestamp at time zone 'UTC')
      and ($2::date is null or happened_at < $2::date::timestamp at time zone 'UTC' or happened_at is null)),
  sums as (
    select bucket_date, workspace_id, runtime_id, provider, model, bool_or(is_table) as is_in_table, bool_or(not is_table) as is_in_raw, {sums}
    from both_sides
    group by bucket_date, workspace_id, runtime_id, provider, model),
  compared as (
    select *, case when not is_in_table then 'missing' when not is_in_raw then 'ghost' else 'different' end as kind, ({differ}) as is_drifted
    from sums),
  named as (
    select jsonb_build_object('kind', kind, 'bucket_date', bucket_date, 'workspace_id', workspace_id, 'runtime_id', runtime_id, 'provider', provider,
      'model', model, 'table', jsonb_build_object({table}), 'raw', jsonb_build_object({raw})) as difference
    from compared
    where is_drifted
    order by bucket_date desc, workspace_id, runtime_id, provider, model
    limit $4)
select count(*),
  count(*) filter (where is_drifted and kind = 'missing'),
  count(*) filter (where is_drifted and kind = 'ghost'),
  count(*) filter (where is_drifted and kind = 'different'),
  count(*) filter (where is_drifted and bucket_date >= $3::date),
  (select coalesce(jsonb_agg(difference), '[]') from named)
from compared
