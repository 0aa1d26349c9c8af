SELECT * FROM sources ORDER BY kind, added, source_id;
