SELECT id, item FROM query_table($kind) WHERE id = $text OR item = $text ORDER BY _shard, _row LIMIT 6;
