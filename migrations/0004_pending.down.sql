drop function tallybook.pending(), tallybook.pending_of_tasks(xid8, xid8[], uuid[]), tallybook.pending_by_join(xid8, xid8[]),
  tallybook.pending_by_lookup(xid8, xid8[]), tallybook.refuse_rewritten(), tallybook.backlog(), tallybook.is_pending(), tallybook.mark();
drop table tallybook.fold_mark;
