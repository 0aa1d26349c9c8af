"""From the outcome of a demo run to one HTML page, self-contained, for the screen and for paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from . import page
from .outcome import Example, Experiment, Outcome
from .page import number, text
from .palette import BACKDROP, colours
from .plots import Panel
from .scores import NO_CALL, Scores

PAPER = (
    "LeRoy NJ, Zheng G, Khoroshevskyi O, Campbell DR, Zhang A, Sheffield NC. Atacformer: A transformer-based "
    "foundation model for analysis and interpretation of ATAC-seq data. bioRxiv 2025.11.03.685753, "
    "doi:10.1101/2025.11.03.685753"
)


def write_report(outcome: Outcome, path: Path) -> Path:
    """Write the report of a run.

    Args:
        outcome: of the run.
        path: the HTML file; replaced if there is one.

    Returns:
        `path`.
    """
    body = "\n".join(
        [
            _head(outcome),
            *(_experiment(e) for e in outcome.experiments),
            _timings(outcome),
            _sources(outcome),
            _made_with(outcome),
        ]
    )
    temporary = path.with_suffix(".html.tmp")
    temporary.write_text(page.document("atacsearch demo", body), "utf-8")
    temporary.replace(path)
    return path


def _head(outcome: Outcome) -> str:
    tiles = "".join(_tile(e) for e in outcome.experiments)
    links = "".join(f'<a href="#{e.key}">{text(e.title)}</a>' for e in outcome.experiments)
    return (
        "<header><h1>atacsearch demo</h1>"
        '<p class="soft">Open chromatin of single cells, from public files to answers: tokenise, train an '
        "encoder, index, name the cell types of new cells, search for cells and regions. Every number below "
        "was computed in this run.</p>"
        f'<p class="soft small">{text(outcome.created)} · {text(outcome.machine)} · '
        f"{page.seconds(outcome.seconds)} in all</p>"
        f'<div class="tiles">{tiles}</div>'
        f'<nav>{links}<a href="#timings">Timings</a><a href="#sources">Data and licences</a>'
        '<a href="#versions">Versions and citation</a></nav></header>'
    )


def _tile(e: Experiment) -> str:
    def figure(name: str, ours: float, other: float) -> str:
        return (
            f'<div><div class="beside">{name}</div><div class="number">{number(ours)}</div>'
            f'<div class="beside">baseline {number(other)}</div></div>'
        )

    ours, other = e.ours.scores, e.baseline.scores
    return (
        f'<div class="tile"><h3>{text(e.title)}</h3><div class="pair">'
        + figure("accuracy", ours.accuracy, other.accuracy)
        + figure("macro-F1", ours.macro_f1, other.macro_f1)
        + f"</div><p>{text(e.split)}</p></div>"
    )


def _experiment(e: Experiment) -> str:
    facts = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in e.facts)
    notes = "".join(f"<li>{text(n)}</li>" for n in e.notes)
    said = f"<details><summary>What the readers said about the input</summary><ul>{notes}</ul></details>"
    return "".join(
        [
            f'<section><h2 id="{text(e.key)}">{text(e.title)}</h2><p>{text(e.lead)}</p>',
            f'<dl class="facts">{facts}</dl>',
            said if notes else "",
            _label_transfer(e),
            _pictures(e),
            _confusion(e.ours.scores),
            _recall(e),
            *(_example(x) for x in e.examples),
            "</section>",
        ]
    )


def _label_transfer(e: Experiment) -> str:
    rows = []
    for m in e.methods:
        cells = (text(m.name), text(m.fitted_on), number(m.scores.accuracy), number(m.scores.macro_f1))
        row = "".join(f"<td{' class=n' if i > 1 else ''}>{c}</td>" for i, c in enumerate(cells))
        rows.append(f"<tr{' class=ours' if m.ours else ''}>{row}</tr>")
    head = '<th>method</th><th>fitted on</th><th class="n">accuracy</th><th class="n">macro-F1</th>'
    return (
        f"<h3>Label transfer</h3><p>{text(e.split)}</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="soft small">{_unknown(e.ours.scores)}</p>'
    )


def _unknown(scores: Scores) -> str:
    if scores.unknown is None:
        return ""
    share = f"{scores.unknown:.1%} of the {scores.n:,} query cells are not assigned"
    share += " (unknown, or of too few open regions)"
    if scores.unknown == 0 or scores.accuracy_assigned is None:
        return share + "."
    return (
        f"{share}; among the assigned ones accuracy is {number(scores.accuracy_assigned)}. "
        "The scores above count every cell by its best call, assigned or not."
    )


def _pictures(e: Experiment) -> str:
    if not e.panels:
        return ""
    return (
        "<h3>The cells, laid out</h3>"
        '<p class="soft small">UMAP of the vectors of reference and query cells together, cosine distance, '
        "one layout for all pictures. It serves the eye; no score is computed on it.</p>"
        f'<div class="panels">{"".join(_panel(p) for p in e.panels)}</div>'
    )


def _panel(p: Panel) -> str:
    names = "".join(f'<span style="left:{x:.1f}%;top:{y:.1f}%">{text(n)}</span>' for n, x, y in p.names)
    legend = "".join(
        f'<li><i style="background:{c}"></i>{text(n)}<b>{count:,}</b></li>' for n, c, count in p.legend
    )
    return (
        f'<div class="panel"><h4>{text(p.title)}</h4><p class="note">{text(p.note)}</p>'
        f'<div class="picture"><img src="{p.image}" width="{p.shape[0]}" height="{p.shape[1]}" '
        f'alt="{text(p.title)}">{names}</div>'
        f'<ul class="legend">{legend}</ul></div>'
    )


def _confusion(scores: Scores) -> str:
    recall = scores.confusion / scores.support.clip(min=1)[:, None]
    tilt = " tilt" if len(scores.labels) > 9 or max(map(len, scores.labels)) > 8 else ""
    heads = "".join(f"<th><div>{text(x)}</div></th>" for x in scores.labels)
    rows = []
    for i, label in enumerate(scores.labels):
        if not scores.support[i]:
            continue
        cells = "".join(
            _heat(float(recall[i, j]), int(scores.confusion[i, j])) for j in range(len(scores.labels))
        )
        rows.append(f'<tr><th>{text(label)}</th>{cells}<td class="n">{int(scores.support[i]):,}</td></tr>')
    return (
        "<h3>Confusion matrix of atacsearch</h3>"
        '<p class="axis">Rows: true type. Columns: transferred type. Colour and first number: share of the '
        "row, in percent; below it the number of cells.</p>"
        f'<div class="scroll"><table class="matrix{tilt}"><thead><tr><th></th>{heads}'
        f'<th class="n">cells</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat(share: float, count: int) -> str:
    if not count:
        return '<td class="cell zero">·</td>'
    percent = f"{100 * share:.0f}" if share >= 0.005 else "&lt;1"
    ink = "color:var(--heat-ink);" if share > 0.55 else ""
    return (
        f'<td class="cell" style="background:rgba(var(--heat),{0.06 + 0.94 * share:.2f});{ink}">'
        f"{percent}<small>{count:,}</small></td>"
    )


def _recall(e: Experiment) -> str:
    ours, other = e.ours.scores, e.baseline.scores
    marks = label_colours(ours)
    theirs = dict(zip(other.labels, other.recall, strict=True))
    rows = []
    for i, label in enumerate(ours.labels):
        if not ours.support[i]:
            continue
        mine, their = float(ours.recall[i]), float(theirs.get(label, float("nan")))
        rows.append(
            (
                page.dot(marks.get(label, BACKDROP)) + text(label),
                f"{int(ours.support[i]):,}",
                page.bar(mine, number(mine, 2), ours=True),
                page.bar(their, number(their, 2)),
                number(float(ours.precision[i]), 2),
            )
        )
    heads = (
        "type",
        "query cells",
        "recall, atacsearch",
        f"recall, {e.baseline.name}",
        "precision, atacsearch",
    )
    return "<h3>Type by type</h3>" + page.table(heads, rows, numeric=(1, 4))


def label_colours(scores: Scores) -> Mapping[str, str]:
    """The colours of an experiment: labels in the order of its scores, the same for pictures and tables."""
    return colours(x for x in scores.labels if x != NO_CALL)


def _example(x: Example) -> str:
    rows = [tuple(text(c) for c in row) for row in x.rows]
    numeric = [i for i in range(len(x.columns)) if x.rows and all(_is_number(r[i]) for r in x.rows)]
    note = f'<p class="soft small">{text(x.note)}</p>' if x.note else ""
    return f"<h3>{text(x.title)}</h3><pre>{text(x.command)}</pre>{page.table(x.columns, rows, numeric, 'answer')}{note}"


def _is_number(value: str) -> bool:
    try:
        float(value.replace(",", ""))
    except ValueError:
        return False
    return True


def _timings(outcome: Outcome) -> str:
    longest = max((s.seconds for s in outcome.stages), default=1.0)
    rows = [
        (
            text(s.experiment),
            text(s.title),
            f"<code>{text(s.command)}</code>" if s.command else '<span class="soft">by the demo</span>',
            page.bar(s.seconds / longest, f"{s.seconds:.1f}", ours=s.command is not None),
        )
        for s in outcome.stages
    ]
    return (
        '<section><h2 id="timings">Timings</h2>'
        f"<p>{page.seconds(outcome.seconds)} from start to report on {text(outcome.machine)}. Commands are "
        "as run, from the demo's folder; each can be run again by hand.</p>"
        + page.table(("data", "stage", "command", "seconds"), rows, kind="timings")
        + "</section>"
    )


def _sources(outcome: Outcome) -> str:
    rows = [
        (
            text(s.name),
            text(s.citation),
            f"<code>{text(s.package)}</code>",
            text(s.licence),
            f"<code>{text(s.sha256[:12])}…</code>",
        )
        for s in outcome.sources
    ]
    return (
        '<section><h2 id="sources">Data and licences</h2>'
        "<p>The files come inside public Python packages, fetched by package name and checked against their "
        "sha256.</p>"
        + page.table(("data", "measured by", "package", "its licence", "sha256"), rows)
        + "</section>"
    )


def _made_with(outcome: Outcome) -> str:
    versions = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in outcome.versions)
    return (
        f'<section><h2 id="versions">Versions and citation</h2><dl class="facts">{versions}</dl>'
        f"<p>The encoder is Atacformer: {text(PAPER)}.</p></section>"
    )
