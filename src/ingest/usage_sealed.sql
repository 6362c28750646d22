-- Of reports, those whose usage was sealed: one index look-up each. Runs after tasks_stored.sql, in a snapshot of its own: who seals locks the
-- same tasks, so what is sealed of them is committed and seen here, and no more of it is until the reports are stored. Where nothing was ever
-- sealed, nothing is digested.
select report.ordinal
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
  with ordinality as report (task_id, provider, model, event_key, ordinal)
cross join lateral (
  select from tallybook.sealed_identity as sealed
  where sealed.digest = tallybook.identity_digest(report.task_id, report.provider, report.model, report.event_key)
  offset 0
) as found
where exists (select from tallybook.sealed_identity)
