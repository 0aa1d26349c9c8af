SELECT count(DISTINCT COLUMNS(* EXCLUDE (id, item, _shard, _row))) FROM query_table($kind);
