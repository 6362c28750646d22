-- Bearer tokens of the HTTP API. Only a digest of each is kept.
create table tallybook.access_token (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  digest bytea not null unique,
  workspace_id uuid,
  scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['ingest', 'read', 'admin']),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
comment on table tallybook.access_token is 'Who may call the HTTP API, and for what.';
comment on column tallybook.access_token.digest is 'SHA-256 of the token; the token itself is shown once, at its creation, and kept nowhere.';
comment on column tallybook.access_token.workspace_id is 'The only workspace that the token opens; null opens all.';
