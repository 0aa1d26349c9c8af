"""`ReadReport`: lines read and skipped, chromosome names mapped, barcodes kept and dropped, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

EXAMPLES = 3  # first bad lines that are shown


@dataclass
class ReadReport:
    """What happened while one source was read; readers fill it in.

    Attributes:
        source: the path as the user gave it.
        kind: what the source was read as ("fragments", "bed", "h5ad", …).
        n_lines: lines (or matrix rows) seen, headers included.
        n_read: fragments, regions or cells that were used.
        skipped: reason -> how many lines were left out for it.
        examples: the first bad lines, written `line 7: reason: text`.
        aliases: chromosome name in the source -> name in the universe, where they differ.
        foreign_chroms: chromosome names that the universe does not have -> lines on them.
        genome: assembly that the source was taken to be; None where it is not known.
        assembly: message of the assembly check; None where it did not run.
        mapped_fraction: fraction of the intervals that overlap the universe; None before it is known.
        n_barcodes: barcodes seen; None where the source has no barcodes.
        n_cells: items kept.
        cell_rule: how cells were told from other barcodes.
        dropped: reason -> how many barcodes were dropped for it.
        suggested_min_fragments: cut-off at the knee of the barcode rank curve; None where not computed.
        lifted: "hg19 to hg38 by CHAIN" where the regions were lifted; else None.
        n_to_lift: regions that were to be lifted.
        lost: reason -> regions that could not be.
        notes: anything else a user should know, one line each.
    """

    source: str
    kind: str
    n_lines: int = 0
    n_read: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    foreign_chroms: dict[str, int] = field(default_factory=dict)
    genome: str | None = None
    assembly: str | None = None
    mapped_fraction: float | None = None
    n_barcodes: int | None = None
    n_cells: int | None = None
    cell_rule: str | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    suggested_min_fragments: int | None = None
    lifted: str | None = None
    n_to_lift: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def n_skipped(self) -> int:
        """Lines left out, all reasons together."""
        return sum(self.skipped.values())

    @property
    def n_dropped(self) -> int:
        """Barcodes left out, all reasons together."""
        return sum(self.dropped.values())

    def skip(self, reason: str, n: int = 1, example: str | None = None) -> None:
        """Count lines left out; the first examples of all reasons are kept."""
        if n:
            self.skipped[reason] = self.skipped.get(reason, 0) + n
        if example is not None and len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def note(self, text: str) -> None:
        """Add a note once."""
        if text not in self.notes:
            self.notes.append(text)

    def lines(self) -> list[str]:
        """Messages for the user: the name of the source, then what happened, indented."""
        out = []
        if self.n_skipped:
            reasons = ", ".join(f"{n:,} {why}" for why, n in self.skipped.items())
            what = "peaks" if self.kind in ("h5ad", "tenx_h5", "tenx_mtx") else "lines"
            out.append(f"skipped {self.n_skipped:,} of {self.n_lines:,} {what}: {reasons}")
            out.extend(f"  {example}" for example in self.examples)
        if self.lifted is not None:
            out.append(f"lifted from {self.lifted}: {self._lost_in_lifting()}")
        if self.aliases:
            out.append(f"chromosome names mapped: {_renamings(self.aliases)}")
        if self.foreign_chroms:
            n = sum(self.foreign_chroms.values())
            names = first_names(list(self.foreign_chroms))
            out.append(f"{n:,} of {self.n_read:,} on chromosomes that the universe lacks: {names}")
        if self.cell_rule is not None and self.n_barcodes is not None and self.n_cells is not None:
            out.append(f"kept {self.n_cells:,} of {self.n_barcodes:,} barcodes ({self.cell_rule})")
            out.extend(f"  dropped {n:,}: {why}" for why, n in self.dropped.items())
        if self.mapped_fraction is not None:
            what = {"fragments": "fragments", "bed": "regions"}.get(self.kind, "peaks")
            out.append(f"{self.mapped_fraction:.1%} of the {what} overlap the universe")
        if self.assembly:
            out.append(self.assembly)
        out.extend(self.notes)
        body = [line.replace(f"{self.source}: ", "") for line in out]
        return [f"{self.source}:", *(f"  {line}" for line in body)] if body else []

    def _lost_in_lifting(self) -> str:
        n = sum(self.lost.values())
        what = "regions" if self.kind == "bed" else "peaks"
        if not n:
            return f"all {self.n_to_lift:,} {what}"
        reasons = ", ".join(f"{count:,} {why}" for why, count in self.lost.items())
        return f"{n:,} of {self.n_to_lift:,} {what} lost ({n / self.n_to_lift:.2%}: {reasons})"


def first_names(names: list[str], n: int = 5) -> str:
    """The first n names, and how many more there are."""
    return ", ".join(names[:n]) + (f" and {len(names) - n} more" if len(names) > n else "")


def _renamings(mapping: dict[str, str]) -> str:
    return first_names([f"{old} -> {new}" for old, new in mapping.items()])
