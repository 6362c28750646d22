-- The daily rollup alone, declared over tables that are not empty: it begins uncovered.
select tallybook.drop_rollup(name) from tallybook.rollup;
select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model'])
