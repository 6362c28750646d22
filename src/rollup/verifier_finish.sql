-- A slice was compared: $1 whether it was the newest days, $2 and $3 its bounds (none: open), $4 when it was taken on, $5 the pause until the
-- next one, in milliseconds. READ COMMITTED; one row. Who took longer than a claim lasts moves nothing that another has moved meanwhile.
update tallybook.verify_state s
set
  due_at = clock_timestamp() + $5 * interval '1 millisecond',
  checked_at = clock_timestamp(),
  next_is_newest = not $1 or x.ends_round,
  unchecked_until = case when x.ends_round then 'infinity' when x.begins_round or x.goes_on then $2 else s.unchecked_until end,
  round_started_at = case when x.ends_round then null when x.begins_round then $4 else s.round_started_at end,
  checked_since = case when not x.ends_round then s.checked_since when $1 then $4 else s.round_started_at end
from (
  select
    $2::date is null and ($1 or unchecked_until = $3) as ends_round,
    $2 is not null and $1 and unchecked_until = 'infinity' as begins_round,
    $2 is not null and not $1 and unchecked_until = $3 as goes_on
  from tallybook.verify_state) x
