-- Makes room for the reference. Rolled back by whoever runs it; a second examination at the same time waits for the first.
set local search_path = pg_catalog;
set local lock_timeout = '10s';
set local client_min_messages = warning;
create schema tallybook_reference;
create schema tallybook_reference_public;
