-- Replaces what is known of a rollup in a slice, [$2, $3), by the days $4 with $5 keys each; gives those that were not known.
-- READ COMMITTED; whoever writes the same day waits for its row, and the last one's word holds.
with
  found as (
    select day, drifted_keys from unnest($4::date[], $5::bigint[]) as f (day, drifted_keys)
    where day >= coalesce($2::date, '-infinity') and day < coalesce($3::date, 'infinity')),
  mended as (
    delete from tallybook.drift d
    where d.rollup = $1 and d.day >= coalesce($2::date, '-infinity') and d.day < coalesce($3::date, 'infinity')
      and not exists (select from found f where f.day = d.day)),
  known as (
    insert into tallybook.drift as d (rollup, day, drifted_keys)
    select r.name, f.day, f.drifted_keys from found f join tallybook.rollup r on r.name = $1 order by f.day
    on conflict (rollup, day) do update set drifted_keys = excluded.drifted_keys, checked_at = excluded.checked_at
    returning d.day, d.drifted_keys, d.found_at = d.checked_at as is_new)
select day, drifted_keys from known where is_new order by day
