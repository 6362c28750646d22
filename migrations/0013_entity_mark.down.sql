drop table tallybook.entity_mark;
