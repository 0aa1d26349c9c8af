-- New rows with the columns of a collection's table, in its order.
SELECT * FROM query_table($kind) WHERE false
UNION ALL BY NAME
SELECT * FROM incoming;
