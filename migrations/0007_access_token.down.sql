drop table tallybook.access_token;
