SELECT id, count(*) AS n FROM query_table($kind) GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 5;
