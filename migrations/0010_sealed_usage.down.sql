-- Sealing goes; so may what is sealed, but not without being told: the sums that it holds are nowhere else.
do $$
begin
  if exists (select from tallybook.sealed_usage) or exists (select from tallybook.sealed_identity) then
    raise exception 'usage was sealed: it is nowhere else, and would be lost' using errcode = 'object_not_in_prerequisite_state',
      hint = 'If that is meant, delete it from tallybook.sealed_usage and tallybook.sealed_identity first; `tallybook migrate down --delete-usage` does so.';
  end if;
end $$;
drop function tallybook.detach_partition(regclass), tallybook.old_partitions(timestamptz), tallybook.quarter_hours_exact_from(), tallybook.tasks_complete_from(), tallybook.purge_sealed(text, uuid), tallybook.thin(timestamptz, timestamptz),
  tallybook.seal(timestamptz, timestamptz, timestamptz, bigint), tallybook.require_sealable(timestamptz, timestamptz), tallybook.wait_for_seal_lock(),
  tallybook.identity_digest(uuid, text, text, text);
drop index tallybook.sealed_usage_thinned;
drop table tallybook.sealed_identity;
