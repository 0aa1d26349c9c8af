-- Where each item is, by a hash of its id; {items} is cells, bedfiles or regions.
SELECT hash(id) AS hash, rowid AS place FROM {items};
