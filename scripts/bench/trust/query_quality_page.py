"""docs/results/query-quality.md, from the record of `query_quality.py` alone; `scripts/bench/pages.py` writes it."""

from __future__ import annotations

from typing import Any

TITLES = {
    "pbmc": "PBMC (small), one fold of five; labels from RNA",
    "forebrain": "forebrain, rep1 → rep2",
    "granja": "bone marrow, D5T1 → D6T1",
}
VERDICTS = ("agree", "disagree", "none")

HEAD = """# Quality of the query

**Question.** How well do `annotate`'s checks of a query work: doublets, thin cells, markers?

**Answer.** The doublet score ranks simulated doublets well, but its strict limit lets many of them pass; cells
with a tenth of their regions are mostly marked; markers confirm calls and seldom find a wrong one.

Made by `scripts/bench/trust/query_quality.py` on {date}, {cores} cores of {processor}, from
[query_quality.json](records/query_quality.json). A model of `train celltype` with its defaults and an index
of one part of each data set; the cells of another part ask (at most 3,000, drawn once). Labels of forebrain and
bone marrow come from clustering the same ATAC data. Rules and their numbers were set on these data sets or are
customary (three median absolute deviations; 2 % of doublets); the number that shapes a doublet's score is
chosen inside of each reference.

"""

DOUBLETS = """## Doublets

Unions of the open regions of two query cells of different types, against the query's cells: AUROC of the score;
of its first two parts without the number of open regions; of that number alone; and of the share of simulated
doublets among the 30 nearest neighbours in the model's vectors, which is how Scrublet and DoubletFinder score
(1,000 reference cells and as many doublets). Then the shares of cells and doublets above the limit, which 2 %
of the reference's held-out cells exceed.

"""

DOUBLETS_AFTER = """
Simulated doublets hold the regions of both cells, so the number of open regions tells much by making; real ones
lose some of it. The limit is strict: most doublets pass unseen, as the price of few false alarms. On another
donor the false rate exceeds the 2 %. Query cells themselves include real doublets, which count as false alarms
here.

"""

THIN = """## Thin cells

Each open region of a query cell is kept with the probability given, which is what losing fragments does to data
that are open or not. The number below which a cell is `low_quality`: {limits}. Accuracy is that of the best
call over all cells, whatever their status (empty cells count as wrong).

"""

DEPTH = """## Depth of neighbours

Spearman correlation of a query cell's number of open regions and the mean of its 15 nearest reference cells.
Types differ in depth by themselves: the correlation with the median depth of its type in the reference is what
a search that found nothing but the right type would show.

"""

DEPTH_AFTER = """
In the general vector the depth of neighbours follows that of the query, beyond what types explain, the more the
fewer regions cells have. In the vector of the label, whose class head names the cells, it hardly does within
types.

"""

MARKERS = """## Markers

PBMC, query cells of types that have markers in the regions of this small file ({cells} cells; no region near
{lost}), 56 open regions a cell in the median. Verdicts on the true labels, and on labels of another lineage
drawn at random. The p-value was chosen on the reference's cells.

"""

MARKERS_AFTER = """
With so few regions a cell most verdicts are `none`, above all for T cells, one of whose genes is covered. A
verdict is seldom wrong, and as seldom finds a wrong label in a single cell: it is a check on calls, not a way
to make them. B and NK labels on cells of another lineage find agreement often, because one open region of their
markers is enough where no other marker is open.
"""


def table(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table, the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(map(_text, row)) + " |" for row in rows)]) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.0f}"
    return str(value)


def page(found: dict[str, Any]) -> str:
    """The page as text."""
    sets = found["datasets"]
    out = HEAD.format(**{k: found[k] for k in ("date", "cores", "processor")}) + DOUBLETS
    keys = [
        "auroc",
        "auroc_without_depth",
        "auroc_depth_alone",
        "auroc_neighbours",
        "false_rate",
        "found_rate",
    ]
    rows = [[TITLES[n], *(float(d["doublets"][k]) for k in keys)] for n, d in sets.items()]
    out += table(
        ["data", "score", "without depth", "depth alone", "neighbours", "cells above", "doublets above"], rows
    )
    limits = ", ".join(f"{d['low_quality_below']:.0f} ({TITLES[n].split(',')[0]})" for n, d in sets.items())
    out += DOUBLETS_AFTER + THIN.format(limits=limits)
    keys = ["accuracy", "assigned", "accuracy_assigned", "unknown", "low_quality", "doublet"]
    rows = [
        [TITLES[n], f"{r['kept']:.0%}", f"{r['median_regions']:.0f}", *(r[k] for k in keys)]
        for n, d in sets.items()
        for r in d["thinned"]
    ]
    out += table(["data", "kept", "regions, median", *(k.replace("_", " ") for k in keys)], rows)
    out += "\n" + DEPTH
    rows = []
    for name, d in sets.items():
        whole, own = d["thinned"][0], d["depth"]
        rows.append(
            [
                TITLES[name],
                own["spearman_type_medians"],
                whole["spearman"],
                whole["spearman_within_types"],
                own["spearman_label_vector"],
                own["spearman_within_types_label_vector"],
            ]
        )
    header = ["data", "median of type", "general", "general, within types", "label", "label, within types"]
    out += table(header, rows) + DEPTH_AFTER
    said = sets["pbmc"]["markers"]
    lost = said["said"][0].rpartition(": ")[2] if said["said"] else "none"
    out += MARKERS.format(cells=said["cells"], lost=lost)
    rows = []
    for kind in ("true labels", "labels of another lineage"):
        rows.append([f"{kind}, all", *(float(said[kind][v]) for v in VERDICTS)])
        rows += [
            [f"{kind}, {n}", *(float(r[v]) for v in VERDICTS)] for n, r in said[kind]["by_lineage"].items()
        ]
    return out + table(["label", *VERDICTS], rows) + MARKERS_AFTER
