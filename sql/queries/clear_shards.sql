DELETE FROM shards;
