do $$
begin
  if exists (select from tallybook.moving_state where begun_at is not null) then
    raise exception 'the jobs of the usual design are disabled' using errcode = 'object_not_in_prerequisite_state',
      hint = 'Run `tallybook adopt usual-design back` first, or `drop-old`.';
  end if;
end $$;
drop table tallybook.moving_state;
