-- Takes the triggers off the source tables, off their partitions and off what was a partition once, and drops what they logged. Takes ACCESS EXCLUSIVE on each
-- of those tables; `tallybook migrate down` has dropped those of adopted tables before, each in a transaction of its own.
do $$
declare
  installed record;
begin
  for installed in
    select tgname, tgrelid::regclass as source
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid
    where p.pronamespace = 'tallybook'::regnamespace and t.tgname like 'tallybook\_%' and t.tgparentid = 0
    order by tgrelid, tgname
  loop
    execute format('drop trigger %I on %s', installed.tgname, installed.source);
  end loop;
end $$;
drop function tallybook.capture_faults(), tallybook.capture_usage_by(text), tallybook.lacks_capture(text), tallybook.install_capture(text, boolean),
  tallybook.is_captured_by_row(text, text, boolean), tallybook.needs_rows(text), tallybook.is_replicated(regclass),
  tallybook.define_capture_of_usage(), tallybook.image_difference(text), tallybook.usage_differences(), tallybook.usage_difference(text),
  tallybook.signed_usage_image(text, integer), tallybook.capture_usage_insert(), tallybook.capture_usage_update(), tallybook.capture_usage_delete(),
  tallybook.define_capture_of_keys(), tallybook.capture_task(), tallybook.capture_agent(), tallybook.capture_issue(), tallybook.guarded(text, text),
  tallybook.note_break(text, text), tallybook.capture_sealed(), tallybook.refuse_truncate();
drop table tallybook.capture_break, tallybook.usage_change, tallybook.task_change, tallybook.agent_change, tallybook.issue_change, tallybook.sealed_change;
