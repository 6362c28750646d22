drop function tallybook.token_access(bytea, timestamptz);
drop trigger audit_rollup on tallybook.rollup;
drop trigger if exists audit_migration on tallybook.migration;
drop table tallybook.audit_log;
drop function tallybook.audit_migration(), tallybook.audit_rollup(), tallybook.refuse_audit_change(),
  tallybook.record_audit(text, uuid, text, text, uuid, text, jsonb);
