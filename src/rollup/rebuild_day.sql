-- One UTC day of one rollup; a missing bound is the beginning, or the end, of time. Takes the fold lock, then ACCESS SHARE on the source
-- tables; any number of workers may run it, one at a time gets on.
select tallybook.rebuild_rollup($1,
  coalesce($2::date::timestamp at time zone 'UTC', '-infinity'),
  coalesce($3::date::timestamp at time zone 'UTC', 'infinity'))
