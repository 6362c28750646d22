-- Stores a token's digest; no row when the workspace that it is to be bound to does not exist.
insert into tallybook.access_token (id, name, digest, workspace_id, scopes, created_at, expires_at)
select $1, $2, $3, $4, $5, $6, $7
where $4::uuid is null or exists (select from public.workspace w where w.id = $4)
returning id, name, workspace_id, scopes, created_at, expires_at, revoked_at
