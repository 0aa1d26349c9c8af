SELECT count(DISTINCT COLUMNS(*)) FROM query_table($kind);
