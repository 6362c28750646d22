-- Labels and archive marks of an adopted database, whose own tables are left as they are. A stand-alone installation keeps both in the source tables,
-- and nothing here.
-- Only a new table in schema tallybook; no lock on anything of the host's; milliseconds.

create table tallybook.entity_mark (
  kind text not null check (kind in ('workspace', 'runtime', 'agent', 'project', 'issue', 'task')),
  id uuid not null,
  labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
  archived_at timestamptz,
  primary key (kind, id)
);
alter table tallybook.entity_mark replica identity full;
comment on table tallybook.entity_mark is
  'Labels and archive marks of entities whose own tables have no column for them. No foreign key: that would put a trigger on the host''s table.';
comment on column tallybook.entity_mark.kind is 'What the id is of.';
comment on column tallybook.entity_mark.id is 'The entity; a mark of one that is gone says nothing to anybody.';
comment on column tallybook.entity_mark.labels is 'What else it is found by.';
comment on column tallybook.entity_mark.archived_at is 'When it was archived; null while it is in use.';
