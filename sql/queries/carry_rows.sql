-- Rows of the generation before whose shard lives on, and the new ones; columns are joined by name.
SELECT * FROM previous WHERE _shard IN (SELECT number FROM shards)
UNION ALL BY NAME
SELECT * FROM incoming;
