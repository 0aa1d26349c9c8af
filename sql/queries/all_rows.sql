-- Rows of the shards that live on.
SELECT * FROM query_table($kind) WHERE list_contains($live, _shard);
