-- All rows with their numbers, ascending.
SELECT items.rowid AS _place, items.*
FROM {items} AS items
ORDER BY items.rowid;
