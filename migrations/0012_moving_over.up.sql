-- How far a move from the usual design of such rollups is.
-- Only a new table in schema tallybook; no lock on the source tables.

create table tallybook.moving_state (
  singleton boolean primary key default true check (singleton),
  begun_at timestamptz,
  switched_at timestamptz,
  cron_database text,
  disabled_jobs jsonb not null default '[]' check (jsonb_typeof(disabled_jobs) = 'array'),
  has_own_job boolean not null default false
);
alter table tallybook.moving_state replica identity full;
insert into tallybook.moving_state default values;
comment on table tallybook.moving_state is 'How far the move from the usual design is: one row. What it disabled is kept here until it is enabled again.';
comment on column tallybook.moving_state.begun_at is 'When the switch was begun; null when the usual design is in charge, or is not there.';
comment on column tallybook.moving_state.switched_at is 'When it was done.';
comment on column tallybook.moving_state.cron_database is 'The database whose pg_cron ran the old jobs; null where none did.';
comment on column tallybook.moving_state.disabled_jobs is 'The old jobs that are disabled: their job_id, name, schedule and command.';
comment on column tallybook.moving_state.has_own_job is 'Whether a job of ours was scheduled in their place.';
