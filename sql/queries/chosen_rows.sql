SELECT COLUMNS(lambda name: list_contains($columns, name))
FROM query_table($kind)
ORDER BY _shard, _row;
