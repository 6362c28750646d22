-- Entries of the audit log, newest first. $1 workspace, $2 action, $3 since, $4 the last entry of the page before, $5 how many.
select id, occurred_at, action, target, workspace_id, via, role, token_id, token_name, request_id, details
from tallybook.audit_log
where ($1::uuid is null or workspace_id = $1)
  and ($2::text is null or action = $2)
  and ($3::timestamptz is null or occurred_at >= $3)
  and ($4::uuid is null or (occurred_at, id) < (select last.occurred_at, last.id from tallybook.audit_log last where last.id = $4))
order by occurred_at desc, id desc
limit $5
