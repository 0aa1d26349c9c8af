SELECT wanted.pos AS _pos, items._shard, items._row
FROM wanted JOIN query_table($kind) AS items ON items.id = wanted.id
ORDER BY wanted.pos;
