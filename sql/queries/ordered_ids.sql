SELECT id FROM query_table($kind) ORDER BY _shard, _row;
