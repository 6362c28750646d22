-- The audit log: who did what cannot be undone, or decides who may do what. And a way to look a token up without seeing any digest.
-- Only new objects in schema tallybook, and triggers on two of its tables: SHARE ROW EXCLUSIVE on tallybook.rollup for a moment, which waits
-- for folds that change coverage, not for writers of usage. No lock on the source tables.
--
-- Invariant: an entry commits together with what it tells of, or not at all; nobody changes or removes one.

create table tallybook.audit_log (
  id uuid primary key default gen_random_uuid(),
  occurred_at timestamptz not null default clock_timestamp(),
  via text not null check (via in ('http', 'cli', 'service', 'database')),
  role text not null default session_user::text,
  token_id uuid,
  token_name text,
  request_id text,
  action text not null check (action ~ '^[a-z]+[.][a-z_]+$'),
  workspace_id uuid,
  target text not null,
  details jsonb not null default '{}' check (jsonb_typeof(details) = 'object')
);
create index audit_log_occurred_at on tallybook.audit_log (occurred_at, id);
alter table tallybook.audit_log replica identity full;
comment on table tallybook.audit_log is 'Who did what cannot be undone, or decides who may do what. Only added to.';
comment on column tallybook.audit_log.via is 'On which way: a request, a command, the service by itself, or a statement of anybody''s.';
comment on column tallybook.audit_log.role is 'The role that the session had logged in as.';
comment on column tallybook.audit_log.token_id is 'The token of the request.';
comment on column tallybook.audit_log.token_name is 'Its name at that time.';
comment on column tallybook.audit_log.request_id is 'What the log of the service calls the request.';
comment on column tallybook.audit_log.action is 'What was done, such as token.create.';
comment on column tallybook.audit_log.workspace_id is 'The workspace that it was done to; null where it concerns all.';
comment on column tallybook.audit_log.target is 'What it was done to.';
comment on column tallybook.audit_log.details is 'What else is worth knowing. No secrets.';

create function tallybook.refuse_audit_change() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'the audit log is only added to' using errcode = 'object_not_in_prerequisite_state',
    hint = 'To shorten it, copy what goes elsewhere; then its owner disables the trigger refuse_change, deletes, and enables it again.';
end $$;
comment on function tallybook.refuse_audit_change is 'Keeps entries of the audit log as they are.';
create trigger refuse_change before update or delete or truncate on tallybook.audit_log
  for each statement execute function tallybook.refuse_audit_change();
-- also in sessions that say that they are a replica
alter table tallybook.audit_log enable always trigger refuse_change;

-- Whoever may call this may add to the log, and neither choose the time and the role nor see what is in it.
create function tallybook.record_audit(via text, token uuid, request text, action text, workspace uuid, target text, details jsonb) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  insert into tallybook.audit_log (via, token_id, token_name, request_id, action, workspace_id, target, details)
  values (via, token, (select t.name from tallybook.access_token t where t.id = token), request, action, workspace, target, coalesce(details, '{}'));
end $$;
comment on function tallybook.record_audit is 'Adds an entry to the audit log, in the transaction of what it tells of.';

-- What is done by calling functions, from wherever ------------------------------------------------------------------------------------------------

create function tallybook.audit_rollup() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp set intervalstyle = 'postgres' as $$
begin
  if tg_op = 'INSERT' then
    perform tallybook.record_audit('database', null, null, 'rollup.create', null, new.name,
      jsonb_build_object('bucket_width', new.bucket_width::text, 'dimensions', new.dimensions));
  else
    perform tallybook.record_audit('database', null, null, 'rollup.drop', null, old.name, '{}');
  end if;
  return null;
end $$;
comment on function tallybook.audit_rollup is 'Notes that a rollup was declared or dropped.';
create trigger audit_rollup after insert or delete on tallybook.rollup for each row execute function tallybook.audit_rollup();

create function tallybook.audit_migration() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    perform tallybook.record_audit('database', null, null, 'migration.apply', null, to_char(new.version, 'FM0000'), jsonb_build_object('description', new.description));
  else
    perform tallybook.record_audit('database', null, null, 'migration.revert', null, to_char(old.version, 'FM0000'), jsonb_build_object('description', old.description));
  end if;
  return null;
end $$;
comment on function tallybook.audit_migration is 'Notes that a migration was applied or reverted.';
do $$
begin
  -- the record of migrations is the driver's own: where these statements are run by other means there is none
  if to_regclass('tallybook.migration') is not null then
    create trigger audit_migration after insert or delete on tallybook.migration for each row execute function tallybook.audit_migration();
  end if;
end $$;

-- Tokens -----------------------------------------------------------------------------------------------------------------------------------------

create function tallybook.token_access(shown bytea, at timestamptz, out id uuid, out workspace_id uuid, out scopes text[]) returns setof record
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select t.id, t.workspace_id, t.scopes from tallybook.access_token t
    where t.digest = shown and t.revoked_at is null and (t.expires_at is null or t.expires_at > at);
end $$;
comment on function tallybook.token_access is
  'What the bearer of the token with this digest may do; no row when it is unknown, expired or revoked. Who may call it sees no digest.';

revoke all on all functions in schema tallybook from public;
