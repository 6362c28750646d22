-- One UTC day. Takes the fold lock, then ACCESS SHARE on the source tables; any number of workers may run it, one at a time gets on.
select tallybook.rebuild($1::date::timestamp at time zone 'UTC', ($1::date + 1)::timestamp at time zone 'UTC')
