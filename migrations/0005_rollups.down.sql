-- Drops every rollup; raw usage stays.
do $$
declare
  r record;
begin
  for r in select name from tallybook.rollup loop
    perform tallybook.drop_rollup(r.name);
  end loop;
end $$;
drop function tallybook.verify(text, timestamptz, timestamptz, bigint), tallybook.drop_rollup(text), tallybook.create_rollup(text, interval, text[]),
  tallybook.settle_views(), tallybook.define_now_view(text), tallybook.is_covered(text), tallybook.is_seen(text),
  tallybook.rebuild(timestamptz, timestamptz), tallybook.rebuild_days(timestamptz, timestamptz, text[]), tallybook.record_fold_error(text),
  tallybook.fold(integer, bigint), tallybook.mend_capture(), tallybook.follow_sources(), tallybook.source_changes(), tallybook.uncover(),
  tallybook.define_fold(), tallybook.fold_everything(xid8, xid8[]), tallybook.fold_tasks(xid8, xid8[], uuid[]),
  tallybook.execute_sums(text, xid8, xid8[], uuid[]),
  tallybook.sum_statement(text, text, text[], text[], timestamptz), tallybook.happened_in(timestamptz, timestamptz), tallybook.bucket_bound(interval, timestamptz),
  tallybook.bucket_expression(interval, text), tallybook.bucket_column(interval), tallybook.wait_for_fold_lock(), tallybook.lock_sources(),
  tallybook.require_alone(), tallybook.fold_lock_holder(), tallybook.fold_lock_key();
drop table tallybook.fold_state, tallybook.rollup;
