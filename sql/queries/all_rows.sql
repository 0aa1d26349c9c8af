SELECT * FROM query_table($kind);
