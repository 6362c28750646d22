-- What the session that a transaction was lent holds of others: nothing, but what this transaction has set for itself.
select
  pg_backend_pid(),
  (select count(*) from pg_prepared_statements),
  (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
  current_setting('jit')
