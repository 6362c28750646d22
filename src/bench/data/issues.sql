-- $1 issues, three of them to a project at a time.
insert into public.issue (id, workspace_id, title, project_id)
select md5('issue ' || n)::uuid, md5('workspace ' || n % 20)::uuid, 'issue ' || n, md5('project ' || n % 60)::uuid
from generate_series(0, $1::bigint - 1) n
