-- Each table that has triggers of ours, and what drops them: partitions and what was one, too. Those that a partition has from its table go with
-- that table's.
select t.tgrelid::regclass::text,
  string_agg(format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass), '; ' order by t.tgname)
from pg_trigger t
join pg_proc p on p.oid = t.tgfoid
join pg_class c on c.oid = t.tgrelid
where p.pronamespace = to_regnamespace('tallybook') and c.relnamespace <> p.pronamespace and t.tgparentid = 0
group by t.tgrelid
order by 1
