-- What the database holds, to be compared after a restore. Text: sums of counts have no bound. Columns by the names that the engine knows them by: those
-- of an adopted table may have been renamed.
with
  raw as (
    select count(*) as rows, coalesce(sum(u.input_tokens), 0) as input_tokens, coalesce(sum(u.output_tokens), 0) as output_tokens from tallybook.usage_rows() u),
  sealed as (
    select count(*) as rows, coalesce(sum(s.input_tokens), 0) as input_tokens, coalesce(sum(s.output_tokens), 0) as output_tokens from tallybook.sealed_usage s)
select
  raw.rows as usage_rows,
  (select count(*) from tallybook.task_rows()) as task_rows,
  sealed.rows as sealed_rows,
  (select count(*) from tallybook.sealed_identity) as sealed_identities,
  (raw.input_tokens + sealed.input_tokens)::text as input_tokens,
  (raw.output_tokens + sealed.output_tokens)::text as output_tokens,
  (select count(*) from tallybook.usage_change) + (select count(*) from tallybook.task_change) + (select count(*) from tallybook.agent_change)
    + (select count(*) from tallybook.issue_change) + (select count(*) from tallybook.sealed_change) as pending_rows
from raw, sealed
