-- Makes a workspace with the first of two slugs that is free. $1 id, $2 name, $3 slug, $4 slug that nobody else has, $5 now.
-- Run by many at once, one of them makes it: the id follows from the name.
insert into public.workspace (id, name, slug, created_at)
select $1, $2, case when exists (select from public.workspace where slug = $3) then $4 else $3 end, $5
on conflict do nothing
