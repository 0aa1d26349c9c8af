-- Ids that are in the index already, outside the shards that are about to go.
SELECT items.id, shards.source_name
FROM wanted
JOIN query_table($kind) AS items ON items.id = wanted.id
JOIN shards ON shards.number = items._shard
WHERE NOT list_contains($dropped, items._shard)
ORDER BY wanted.pos
LIMIT 5;
