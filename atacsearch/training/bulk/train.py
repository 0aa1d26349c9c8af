"""Label heads for BED files: for every label the kind of head is chosen on held-out files, then fitted on all.

Closed-form throughout (eigenvectors and ridge), so there are no epochs: a few hundred files take minutes, and the
same input gives the same heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ...model.checkpoints.checkpoint import Model
from ...model.heads.files import Head
from ...model.heads.label_head import unit
from ...model.heads.token_runs import Runs, followed
from ...tokens.token_sets import TokenSets
from ..trainer.holdout import NO_GROUP, dealt_by_class, groups_at, names_of
from ..trainer.progress import Progress, Record
from ..trainer.state import RunFolder, fingerprint
from .fit import (
    GUIDE_POWER,
    Fit,
    OpenRegions,
    ResidualFeatures,
    count_kinds,
    coverage_weights,
    fit_plain,
    fit_residual,
    gram_of,
    guide_space,
    kind_centres,
    kinds_of,
    space_for,
)
from .labels import Codes, LabelTable
from .space import Matrix

TRIAL_REGIONS = 60_000  # of a larger universe an even sample this large or twice that decides between heads
MIN_GROUPS = 3  # with fewer, whole groups cannot be left out in turn
GENERAL = "general"


@dataclass(frozen=True)
class BulkSettings:
    """Settings of the label heads; the defaults are one recipe for all collections.

    Attributes:
        powers: coverage powers of the plain heads that are tried, the preferred one first; for a label that others
            refine that of the guide comes before them.
        residual: try the residual head for labels that others cross.
        shrinks: amounts of shrinkage that are tried, the preferred one first; see `fit_space`.
        rank: width of a label's vectors at the most.
        weight: of what crosses a label against the rest; see `fit_space`.
        prior: weight of a coarser kind, in files; see `Kinds`.
        eps: of the residuals; see `ResidualHead`.
        folds: parts of the files of which each is held out once, to choose.
        seed: of the folds.
    """

    powers: tuple[float, ...] = (0.0, 1.0, 2.0)
    residual: bool = True
    shrinks: tuple[float, ...] = (1.0,)
    rank: int = 192
    weight: float = 10.0
    prior: float = 0.3
    eps: float = 0.005
    folds: int = 5
    seed: int = 0

    def fit(self, shrink: float) -> Fit:
        """The settings of one fit."""
        return Fit(self.rank, shrink, self.weight, self.prior, self.eps)


@dataclass(frozen=True)
class Choice:
    """One kind of head.

    Attributes:
        power: coverage power of a plain head; None is the residual head.
        shrink: see `fit_space`.
    """

    power: float | None
    shrink: float

    @property
    def name(self) -> str:
        """As logs show it."""
        kind = "residual" if self.power is None else f"coverage^{self.power:g}"
        return f"{kind}, shrink {self.shrink:g}"


class LabelSummary(TypedDict):
    """What was made for one label.

    Attributes:
        classes, files: values of the label, and files that have one.
        crossed_by: labels that cross it.
        head: the kind of head that was chosen.
        held_out_accuracy: mean accuracy of the nearest file, see `pick`; None where no file could be held out.
    """

    classes: int
    files: int
    crossed_by: list[str]
    head: str
    held_out_accuracy: float | None


class BulkSummary(TypedDict):
    """What training label heads did.

    Attributes:
        files: files with a label.
        held_out: how files were held out, in words.
        labels: label -> what was made for it.
    """

    files: int
    held_out: str
    labels: dict[str, LabelSummary]


def train_bulk(
    model: Model,
    sets: TokenSets,
    columns: dict[str, Sequence[str | None]],
    out: str | Path,
    settings: BulkSettings | None = None,
    *,
    groups: Sequence[str | None] | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> BulkSummary:
    """Fit a head for every label and save the model with them in `out`.

    Args:
        model: over the universe of `sets`; its heads are replaced, its network stays as it is.
        sets: token sets of the files.
        columns: label -> value of each file, None where it has none. Files without a label are left out of that
            label's classes, and still count as files of their other labels.
        out: folder for the checkpoint, `training.jsonl` and, until it is done, the state to resume from.
        settings: see `BulkSettings`.
        groups: collection of each file; with three or more, whole ones are held out to choose.
        restart: begin anew where an unfinished run lies in `out`.
        progress: called with a record after every step.

    Returns:
        What was done.

    Raises:
        InputError: a label has fewer than two classes, or is called `general`.
    """
    settings = settings or BulkSettings()
    filled = [any(values[i] is not None for values in columns.values()) for i in range(len(sets))]
    kept = np.flatnonzero((sets.lengths > 0) & np.array(filled, bool))
    sets = sets.take(kept)
    table = LabelTable({name: list(values) for name, values in columns.items()}).take(kept)
    check_labels(table)
    own_groups = None if groups is None else groups_at(groups, kept)
    fold, how = folds_of(table, own_groups, settings.folds, settings.seed)
    data = {"task": "bulk", "labels": {k: list(v) for k, v in table.columns.items()}, **asdict(settings)}
    run = RunFolder(out, fingerprint(data | {"folds": fold.tolist()}, sets), restart=restart)
    scores: dict[str, dict[str, tuple[float, float]]] = run.state["scores"] if run.state is not None else {}
    if run.state is None:
        run.log(event="start", files=len(sets), labels=list(columns), held_out=how)
    beside = followed(model.universe)
    trial = _Trial(sets, table, own_groups, fold, beside, settings)
    heads: dict[str, Head] = {}
    chosen: dict[str, LabelSummary] = {}
    for number, label in enumerate(columns):
        if label not in scores:
            scores[label] = {c.name: (round(s, 5), round(e, 5)) for c, (s, e) in trial.scores(label).items()}
            shown = {k: None if np.isnan(v[0]) else v[0] for k, v in scores[label].items()}
            run.log(event="label", epoch=number, label=label, **shown)
            run.save(scores=scores)
        best = pick({c: scores[label][c.name] for c in trial.choices(label)})
        heads[label] = fit_choice(sets, table, label, best, model.config.n_regions, settings, followed=beside)
        chosen[label] = _label_summary(table, label, best, scores[label][best.name][0])
        if progress is not None:
            progress(_record(number, len(columns), label, chosen[label]))
    model.heads = heads
    summary: BulkSummary = {"files": len(sets), "held_out": how, "labels": chosen}
    model.own["bulk"] = {**asdict(settings), **summary}
    model.save(out)
    run.log(event="done", **summary)
    run.finish()
    return summary


def _label_summary(table: LabelTable, label: str, choice: Choice, score: float) -> LabelSummary:
    """What was made for one label; `score` is NaN where no file could be held out."""
    return {
        "classes": len(table.codes([label])[1]),
        "files": sum(value is not None for value in table.columns[label]),
        "crossed_by": table.crossing(label),
        "head": choice.name,
        "held_out_accuracy": None if np.isnan(score) else score,
    }


def _record(number: int, labels: int, label: str, done: LabelSummary) -> Record:
    """What is reported after a label."""
    return {
        "stage": "bulk",
        "epoch": number,
        "epochs": labels,
        "label": label,
        "classes": done["classes"],
        "files": done["files"],
        "crossed_by": done["crossed_by"],
        "head": done["head"],
        "held_out_accuracy": done["held_out_accuracy"],
    }


def pick(scores: dict[Choice, tuple[float, float]]) -> Choice:
    """The first choice whose score is within one standard error of the best one.

    Scores of a hundred files cannot tell neighbouring settings apart; the rule of one standard error (Breiman et
    al., Classification and Regression Trees, 1984) then takes the simplest, which is listed first.
    """
    known = [score for score in scores.values() if not np.isnan(score[0])]
    if not known:
        return next(iter(scores))
    best, error = max(known)
    return next(choice for choice, (score, _) in scores.items() if score >= best - error)


def fit_choice(
    sets: TokenSets,
    table: LabelTable,
    label: str,
    choice: Choice,
    n_regions: int,
    settings: BulkSettings,
    *,
    followed: npt.NDArray[np.bool_] | None = None,
) -> Head:
    """Fit the chosen head of one label on all files; `followed` as for `fit_plain`."""
    fit = settings.fit(choice.shrink)
    if choice.power is None:
        return fit_residual(sets, table, label, n_regions, fit)
    return fit_plain(sets, table, label, choice.power, n_regions, fit, followed)


def check_labels(table: LabelTable) -> None:
    """Raise `InputError` where a label cannot get a vector."""
    if not table.columns:
        raise InputError("bulk training needs at least one label column: --label cell_type,assay,target")
    for label in table.columns:
        if label == GENERAL:
            raise InputError(f"--label {label}: the name of the vector without labels; rename the column")
        classes = table.codes([label])[1]
        if len(classes) < 2:
            raise InputError(f"--label {label}: bulk training needs at least 2 values, got {len(classes)}")


def folds_of(
    table: LabelTable, groups: npt.NDArray[Any] | None, folds: int, seed: int
) -> tuple[npt.NDArray[np.int64], str]:
    """[n] fold of each file, and a sentence that says how folds were made.

    Whole groups where there are three or more; else at random, files that share all labels staying together, so
    that a replicate never answers for its twin.
    """
    rng = np.random.default_rng(seed)
    if groups is not None and len(names_of(groups)) >= MIN_GROUPS:
        fold, number = _dealt(groups, folds, rng)
        fold[groups == NO_GROUP] = -1
        return fold, f"{number} folds of whole groups"
    why = "no --group" if groups is None else "fewer than three groups"
    fold, number = _dealt(table.codes(list(table.columns))[0], folds, rng)
    if all(_answerable(table.codes([label])[0], fold) for label in table.columns):
        return fold, f"{number} folds of random files, those with the same labels together ({why})"
    # Where the labels together tell no more than one of them, no value would be left to answer with.
    fold = dealt_by_class(table.codes(list(table.columns))[0], folds, rng)
    return fold, f"{folds} folds of random files of every value ({why})"


def _dealt(
    units: npt.NDArray[Any], folds: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], int]:
    """[n] fold of each file, files of one unit together, and the number of folds."""
    names, place = np.unique(units, return_inverse=True)
    number = min(folds, len(names))
    order = rng.permutation(np.arange(len(names)) % max(number, 1))
    return order[place].astype(np.int64), number


def _answerable(codes: npt.NDArray[np.int64], fold: npt.NDArray[np.int64]) -> bool:
    """Whether any value of a label is in two folds."""
    return any(len(np.unique(fold[codes == code])) > 1 for code in np.unique(codes[codes >= 0]))


class _Trial:
    """Scores of candidate heads on files that they were not fitted on."""

    def __init__(
        self,
        sets: TokenSets,
        table: LabelTable,
        groups: npt.NDArray[Any] | None,
        fold: npt.NDArray[np.int64],
        beside: npt.NDArray[np.bool_],
        settings: BulkSettings,
    ) -> None:
        self.table, self.groups, self.fold, self.settings = table, groups, fold, settings
        self.whole, self.beside = sets, beside
        self.sets, self.n_regions = sampled(sets, len(beside), max(len(beside) // TRIAL_REGIONS, 1))
        self.grams: dict[float, Matrix] = {}
        self.residuals: dict[tuple[tuple[str, ...], int], Matrix] = {}

    def choices(self, label: str) -> list[Choice]:
        """What is tried for a label."""
        powers: list[float | None] = list(self.settings.powers)
        if kinds_of(self.table, label) is not None:
            powers = [GUIDE_POWER, *(power for power in powers if power != GUIDE_POWER)]
        elif self.settings.residual and self.table.crossing(label):
            powers.append(None)
        return [Choice(power, shrink) for power in powers for shrink in self.settings.shrinks]

    def scores(self, label: str) -> dict[Choice, tuple[float, float]]:
        """Mean score of every choice over the folds, and its standard error; NaN where nothing could be held out."""
        choices = self.choices(label)
        hits = {c: np.zeros((3, 2)) for c in choices}
        for fold in np.unique(self.fold[self.fold >= 0]):
            train, held = np.flatnonzero(self.fold != fold), np.flatnonzero(self.fold == fold)
            table = self.table.take(train)
            if len(train) < 3 or len(table.codes([label])[1]) < 2:
                continue
            kinds = kinds_of(table, label)
            runs = None if kinds is None else Runs.fit(self.beside, self.whole.take(train)).of(self.whole)
            for choice in choices:
                power = choice.power
                gram = self._residual_gram(label, int(fold)) if power is None else self._plain_gram(power)
                gram = gram if runs is None else gram + np.outer(runs, runs)
                wanted = [*self.table.settled_by(label), label]
                space = space_for(
                    gram[np.ix_(train, train)],
                    table,
                    wanted,
                    self.table.crossing(label),
                    self.settings.fit(choice.shrink),
                    kinds,
                )
                offset = space.offset(gram[np.ix_(train, train)])
                asked = space.project(gram[np.ix_(held, train)]) - offset
                hits[choice] += self._hits(label, unit(asked) @ unit(space.vectors).T, train, held)
        return {choice: _score(found) for choice, found in hits.items()}

    def _hits(self, label: str, cosines: Matrix, train: Codes, held: Codes) -> Matrix:
        """[3, 2] right and answerable held-out files: by all, by files of another crossing label, of another group."""
        codes = self.table.codes([label])[0]
        crossing = self.table.crossing(label)
        others = self.table.codes(crossing)[0] if crossing else np.full(len(codes), -1)
        may = np.broadcast_to(codes[train] >= 0, cosines.shape)
        away = others[held][:, None] != others[train][None]
        masks = [may, may & away if crossing else np.zeros_like(may)]
        masks.append(
            may & (self.groups[held][:, None] != self.groups[train])
            if self.groups is not None
            else ~may & may
        )
        out = np.zeros((3, 2))
        for row, mask in enumerate(masks):
            same = mask & (codes[held][:, None] == codes[train][None])
            answerable = same.any(1) & (codes[held] >= 0)
            best = np.where(mask, cosines, -np.inf).argmax(1)
            out[row] = (codes[train][best] == codes[held])[answerable].sum(), answerable.sum()
        return out

    def _plain_gram(self, power: float) -> Matrix:
        if power not in self.grams:
            weights = coverage_weights(self.sets, self.n_regions, power)
            self.grams[power] = gram_of(OpenRegions(self.sets, weights))[0]
        return self.grams[power]

    def _residual_gram(self, label: str, fold: int) -> Matrix:
        """[n, n] inner products of residuals, expectations and guesses made without the fold's files."""
        crossing = self.table.crossing(label)
        key = (tuple(crossing), fold)
        if key not in self.residuals:
            train = np.flatnonzero(self.fold != fold)
            table, fit = self.table.take(train), self.settings.fit(1.0)
            kinds, leaf_of, leaves = count_kinds(
                self.sets.take(train), table, crossing, self.n_regions, fit.prior
            )
            plain = self._plain_gram(GUIDE_POWER)
            own_gram = plain[np.ix_(train, train)]
            space = guide_space(own_gram, table, crossing, fit)
            asked = unit(space.project(plain[:, train]) - space.offset(own_gram))
            leaf = leaves[(asked @ kind_centres(space, leaf_of, leaves).T).argmax(1)]
            leaf[train] = leaf_of
            features = ResidualFeatures(kinds, self.sets, leaf, self.fold != fold, fit.eps)
            self.residuals[key] = gram_of(features)[0]
        return self.residuals[key]


def sampled(sets: TokenSets, n_regions: int, step: int) -> tuple[TokenSets, int]:
    """The sets over every `step`-th region of the universe, renumbered, and how many regions that are."""
    if step == 1:
        return sets, n_regions
    kept = (sets.tokens % step == 0) & (sets.tokens < n_regions)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[sets.offsets]
    thin = replace(sets, offsets=offsets, tokens=sets.tokens[kept] // np.uint32(step), universe_digest=None)
    return thin, -(-n_regions // step)


def _score(hits: Matrix) -> tuple[float, float]:
    """Mean of the shares of right answers, of those kinds that had any, and its standard error.

    The kinds ask the same files, so their errors are taken to go together.
    """
    right, asked = hits[hits[:, 1] > 0].T
    if not len(asked):
        return float("nan"), 0.0
    share = right / asked
    return float(share.mean()), float(np.sqrt(share * (1.0 - share) / asked).mean())
