-- Makes the reference generate what is generated here: the capture of usage in the form that is installed, and what is derived from rollups.
select tallybook_reference.capture_usage_by('row')
where exists (
  select from pg_trigger
  where tgrelid = to_regclass('public.task_usage') and tgname in ('tallybook_insert', 'tallybook_update', 'tallybook_delete') and tgtype & 1 = 1);

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
