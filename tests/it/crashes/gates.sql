-- Places where work can be made to wait, with what it has written so far not committed: see gate.rs.
-- Each counts the rows (or commands) that pass, also those of transactions that are rolled back; from 0 on they wait for lock 4711.
create schema if not exists crash;
create sequence if not exists crash.ingest minvalue -1000000000000 start -1000000000000;
create sequence if not exists crash.import minvalue -1000000000000 start -1000000000000;
create sequence if not exists crash.fold minvalue -1000000000000 start -1000000000000;
create sequence if not exists crash.backfill minvalue -1000000000000 start -1000000000000;
create sequence if not exists crash.sealing minvalue -1000000000000 start -1000000000000;
create sequence if not exists crash.migration minvalue -1000000000000 start -1000000000000;

-- Who waits here waits for the test, however busy the machine is.
create or replace function crash.pass(place text) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = 0 as $$
begin
  if nextval(('crash.' || place)::regclass) >= 0 then
    perform pg_advisory_xact_lock_shared(4711);
  end if;
end $$;

create or replace function crash.at_row() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform crash.pass(tg_argv[0]);
  return new;
end $$;

-- Folds and backfills write the same tables.
create or replace function crash.at_rollup_row() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform crash.pass(case when current_query() like '%backfill_slice%' then 'backfill' else 'fold' end);
  return new;
end $$;

create or replace function crash.at_command() returns event_trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform crash.pass('migration');
end $$;
