-- How long statements may take that change entities: the last of each kind.
create table limit_of (operation text, relation text, statement_timeout text, primary key (operation, relation));
create function note_limit() returns trigger language plpgsql as $$
begin
  insert into limit_of values (tg_op, tg_table_name, current_setting('statement_timeout')) on conflict do nothing;
  return null;
end $$;
create trigger note_limit after insert on agent_runtime execute function note_limit();
create trigger note_limit after update on agent_task_queue execute function note_limit();
create trigger note_limit after update or delete on issue execute function note_limit();
