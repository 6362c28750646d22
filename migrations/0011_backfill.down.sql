drop view tallybook.backfill_progress;
drop function tallybook.backfill_plan(bigint, timestamptz), tallybook.backfill_slice(bigint), tallybook.backfill_slice(bigint, timestamptz, boolean),
  tallybook.require_slice(bigint, timestamptz), tallybook.slice_start(timestamptz, timestamptz, bigint), tallybook.raw_rows_before(timestamptz),
  tallybook.raw_rows_between(timestamptz, timestamptz);
drop table tallybook.backfill_state;
