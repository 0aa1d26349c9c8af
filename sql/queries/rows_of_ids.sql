SELECT wanted.pos AS _pos, items.*
FROM wanted JOIN query_table($kind) AS items ON items.id = wanted.id
ORDER BY wanted.pos;
