-- Makes the reference generate what is generated here: the capture of usage in the form that is installed, and what is derived from rollups.
update tallybook_reference.installation made set usage_captured_by = i.usage_captured_by from tallybook.installation i;

delete from tallybook_reference.source_column;
insert into tallybook_reference.source_column (source, name, column_name, relation, number)
select s.source, s.name, s.column_name, a.attrelid, a.attnum
from tallybook.source_column s
join pg_attribute a on a.attrelid = to_regclass('tallybook_reference_public.' || s.source) and a.attname = s.column_name and not a.attisdropped;

select tallybook_reference.define_sources();
select tallybook_reference.define_capture_of_keys();
select tallybook_reference.define_capture_of_usage();
select tallybook_reference.install_capture(source, tallybook.needs_rows(source)) from unnest(array['task_usage', 'agent_task_queue', 'agent', 'issue']) as source;

select tallybook_reference.drop_rollup(made.name)
from tallybook_reference.rollup made
where not exists (
  select from tallybook.rollup r where (r.name, r.bucket_width, r.dimensions) = (made.name, made.bucket_width, made.dimensions));

select tallybook_reference.create_rollup(r.name, r.bucket_width, r.dimensions)
from tallybook.rollup r
where not exists (select from tallybook_reference.rollup made where made.name = r.name)
order by r.name;

update tallybook_reference.rollup made set reads_raw = r.reads_raw from tallybook.rollup r where r.name = made.name;
select tallybook_reference.define_now_view(name) from tallybook_reference.rollup;
