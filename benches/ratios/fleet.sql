insert into workspace (id, name, slug) values ('00000000-0000-4000-8001-000000000001', 'bench', 'bench');
insert into agent_runtime (id, workspace_id, name)
select ('00000000-0000-4000-8002-' || lpad(i::text, 12, '0'))::uuid, '00000000-0000-4000-8001-000000000001', 'runtime ' || i from generate_series(0, 99) i;
insert into agent (id, workspace_id, name)
select ('00000000-0000-4000-8003-' || lpad(i::text, 12, '0'))::uuid, '00000000-0000-4000-8001-000000000001', 'agent ' || i from generate_series(0, 99) i;
