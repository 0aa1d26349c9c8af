INSERT INTO shards SELECT * FROM incoming;
