-- In a copy of the generation before: what lives on there stays.
DELETE FROM cells WHERE _shard NOT IN (SELECT number FROM shards);
DELETE FROM bedfiles WHERE _shard NOT IN (SELECT number FROM shards);
DELETE FROM regions WHERE _shard NOT IN (SELECT number FROM shards);
