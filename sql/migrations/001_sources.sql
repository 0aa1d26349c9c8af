-- What a generation is made of. The tables of items (cells, bedfiles, regions) have the label columns
-- of whatever was indexed and are therefore created from Arrow tables, not here.
CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name VARCHAR NOT NULL);

CREATE TABLE shards (
    number BIGINT PRIMARY KEY,
    kind VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    source_id VARCHAR NOT NULL,
    source_name VARCHAR NOT NULL,
    source_digest VARCHAR,
    genome VARCHAR,
    counting VARCHAR,
    n_rows BIGINT NOT NULL,
    n_points BIGINT NOT NULL,
    n_bytes BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    added VARCHAR NOT NULL
);

CREATE VIEW sources AS
SELECT
    kind,
    source_id,
    any_value(source_name) AS name,
    any_value(source_digest) AS digest,
    any_value(genome) AS genome,
    any_value(counting) AS counting,
    sum(n_rows)::BIGINT AS n_items,
    sum(n_points)::BIGINT AS n_points,
    min(added) AS added
FROM shards
GROUP BY kind, source_id;
