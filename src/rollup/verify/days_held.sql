select tallybook.days_held(
  coalesce($1::date::timestamp at time zone 'UTC', '-infinity'),
  coalesce($2::date::timestamp at time zone 'UTC', 'infinity'))
