-- What the last ticks of all schedulers have come to, and whether changes are captured. A tick that fails changes only the error.
select
  (select count(*) from tallybook.capture_faults()) as capture_faults,
  last_error is not null as fold_failing,
  extract(epoch from last_run_finished_at)::double precision as fold_last_success_seconds,
  last_run_rows as fold_last_rows
from tallybook.fold_state
