"""Which shards go together into which part, so that parts stay few and each point is seldom written again."""

from __future__ import annotations

from collections.abc import Sequence

from ..manifest import Part, ShardEntry, count_points
from .base import Collection

SMALL_PART = 5_000  # always merged: opening a part costs more than searching it
# Points of one part at the most: it bounds the memory of building (see docs/decisions.md). A shard is never divided.
MAX_PART = 500_000


def is_stale(part: Part, collection: Collection) -> bool:
    """Whether a column that is served now is missing or of another type in the part's payload."""
    return any(collection.payload.get(name, family) != family for name, family in part.columns.items())


def plan_parts(
    collection: Collection, parts: Sequence[Part], live: Sequence[ShardEntry]
) -> tuple[list[Part], list[list[ShardEntry]]]:
    """Which parts stay as they are, and which shards go together into each new part.

    Parts are merged as in Bentley and Saxe's logarithmic method (doi:10.1016/0196-6774(80)90015-2): a part
    joins the new one where it is not larger than it, so that n points lie in at most log2(n) parts below
    `MAX_PART` and each is rebuilt at most log2(MAX_PART) times; more than `MAX_PART` new points are divided
    evenly. Stale parts and those that are half dead are rebuilt.
    """
    by_number = {s.number: s for s in live}
    keep: list[tuple[int, Part]] = []
    covered: set[int] = set()
    for part in parts:
        inside = [by_number[n] for n in part.shards if n in by_number]
        points = count_points(inside)
        if points and 2 * points >= part.points and not is_stale(part, collection):
            keep.append((points, part))
            covered.update(s.number for s in inside)
    fresh = [s for s in live if s.number not in covered and s.n_points]
    if not fresh:
        return [part for _, part in keep], []
    size = count_points(fresh)
    kept: list[Part] = []
    for points, part in sorted(keep, key=lambda pair: pair[0]):
        if points <= max(size, SMALL_PART) and points + size <= MAX_PART:
            fresh += [by_number[n] for n in part.shards if n in by_number]
            size += points
        else:
            kept.append(part)
    order = {part.name: i for i, part in enumerate(parts)}
    kept.sort(key=lambda p: order[p.name])
    return kept, divide(sorted(fresh, key=lambda s: s.number), MAX_PART)


def divide(shards: Sequence[ShardEntry], most: int) -> list[list[ShardEntry]]:
    """Runs of shards of about the same number of points, none above `most` unless one shard is."""
    total = count_points(shards)
    aim = total / -(-total // most)
    groups: list[list[ShardEntry]] = []
    size = 0
    for shard in shards:
        full = size + shard.n_points > most or size + shard.n_points / 2 > aim
        if not groups or full:
            groups.append([])
            size = 0
        groups[-1].append(shard)
        size += shard.n_points
    return groups


def columns_inside(collection: Collection, shards: Sequence[ShardEntry]) -> dict[str, str]:
    """Columns that occur in any of the shards -> filter family, or "unindexed"; for `Part.columns`."""
    import pyarrow.parquet as pq

    present = {n for s in shards for n in pq.read_schema(collection.index / s.file).names}
    return {
        name: c.kind if c.indexed else "unindexed"
        for name, c in collection.columns.items()
        if name in present and c.kind != "empty"
    }
