SELECT hash(id) AS hash FROM wanted ORDER BY pos;
