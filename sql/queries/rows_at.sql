-- Rows at known places: a few blocks of the table are read instead of all ids.
SELECT wanted.pos AS _pos, wanted.id AS _id, items.*
FROM wanted JOIN {items} AS items ON items.rowid = wanted.place
ORDER BY wanted.pos;
