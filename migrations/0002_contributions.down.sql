drop function tallybook.contribution(), tallybook.measures_of(text, text), tallybook.usage_image(text), tallybook.usage_measure_images(text),
  tallybook.canonical_key(text), tallybook.usage_key_image(text), tallybook.usage_columns(), tallybook.measures(), tallybook.token_measures(),
  tallybook.each(text, text[], text), tallybook.finite(numeric), tallybook.provider_key(text), tallybook.name_key(text), tallybook.long_name_key(text), tallybook.bucket(timestamptz);
drop type tallybook.contribution;
