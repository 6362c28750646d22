drop function tallybook.contribution(), tallybook.usage_rows(), tallybook.task_rows(), tallybook.agent_rows(), tallybook.issue_rows(),
  tallybook.define_sources(), tallybook.measures_of(text, text), tallybook.usage_image(text), tallybook.usage_measure_images(text),
  tallybook.canonical_key(text), tallybook.usage_key_image(text), tallybook.usage_time(text, text), tallybook.usage_columns(),
  tallybook.column_of(text, text, text), tallybook.note_columns(), tallybook.source_columns(), tallybook.wanted_columns(), tallybook.is_adopted(), tallybook.measures(),
  tallybook.token_measures(), tallybook.each(text, text[], text), tallybook.finite(numeric), tallybook.finite(smallint), tallybook.finite(integer),
  tallybook.finite(bigint), tallybook.finite(real), tallybook.finite(double precision), tallybook.utc(timestamptz), tallybook.utc(timestamp),
  tallybook.utc(date), tallybook.provider_key(text), tallybook.name_key(text), tallybook.long_name_key(text), tallybook.bucket(timestamptz);
drop table tallybook.sealed_usage;
drop type tallybook.contribution;
