"""What lets a killed training run go on: its state on disk, replaced as a whole, its log, and their picture.

Randomness is drawn afresh for each epoch or step from (seed, epoch, step), so a run that was resumed ends with
the same weights as one that was never interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...errors import InputError
from ...tokens.token_sets import TokenSets
from .plot import PLOT, draw_log

if TYPE_CHECKING:
    from ...model.checkpoints.checkpoint import Model

STATE, LOG = "training_state.pt", "training.jsonl"


def fingerprint(settings: Mapping[str, object], *data: TokenSets) -> str:
    """sha256 of the settings and the training data: a state belongs to one such pair."""
    h = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for sets in data:
        h.update(sets.offsets.tobytes())
        h.update(sets.tokens.tobytes())
    return h.hexdigest()


def check_out(path: str | Path) -> None:
    """Refuse a folder of other things, which a model must not be mixed with.

    Raises:
        InputError: the folder is neither empty nor that of a model or of a training run.
    """
    from ...model.checkpoints.checkpoint import CONFIG, OWN_FIELDS, WEIGHTS

    path = Path(path)
    if not path.is_dir():
        return
    # A run that was killed while it read its input has left hidden files alone.
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    if names and not names & {CONFIG, OWN_FIELDS, WEIGHTS, STATE, LOG, "pretraining"}:
        raise InputError(
            f"{path}: this folder holds other files ({sorted(names)[0]} ...) and no model; name a new folder"
        )


def origin(model: Model) -> dict[str, object]:
    """What a fingerprint says of the model that a run begins with: its sizes, and the checkpoints behind it."""
    return {"config": model.config.to_dict(model.architecture), "parents": model.own.get("parents")}


class RunFolder:
    """The output folder of one training run.

    Args:
        path: folder, made where it is not there.
        key: `fingerprint` of this run. A state of another run there is refused unless `restart`.
        restart: forget what an earlier run left.
        writes: off for a process that only reads the state, since another process writes.

    Raises:
        InputError: the folder holds an unfinished run with other settings or data.
    """

    def __init__(self, path: str | Path, key: str, *, restart: bool = False, writes: bool = True) -> None:
        self.path, self.writes = Path(path), writes
        self.key = key
        self.path.mkdir(parents=True, exist_ok=True)
        self.state_file = self.path / STATE
        self.state: dict[str, Any] | None = None
        if restart:
            self.state_file.unlink(missing_ok=True)
        if self.state_file.exists():
            self.state = torch.load(self.state_file, weights_only=False)
            if self.state["key"] != key:
                raise InputError(
                    f"{self.path}: holds an unfinished training run with other settings or data; "
                    "repeat that command to finish it, or add --restart to begin anew"
                )
        if not writes:
            return
        if self.state is None:
            for name in (LOG, PLOT):
                (self.path / name).unlink(missing_ok=True)
        elif (self.path / LOG).exists():
            # What was logged after the state was saved will be done, and logged, again.
            os.truncate(self.path / LOG, self.state["log_bytes"])

    def save(self, **state: object) -> None:
        """Replace the state on disk."""
        if not self.writes:
            return
        temporary = self.state_file.with_suffix(f".{os.getpid()}")
        log = self.path / LOG
        log_bytes = log.stat().st_size if log.exists() else 0
        torch.save({"key": self.key, "log_bytes": log_bytes, **state}, temporary)
        os.replace(temporary, self.state_file)

    def log(self, **record: object) -> None:
        """Append one JSON line to the log."""
        if not self.writes:
            return
        with (self.path / LOG).open("a") as f:
            f.write(json.dumps({"time": round(time.time(), 1), **record}) + "\n")

    def finish(self) -> None:
        """Drop the state: the checkpoint beside it is the result now; draw the log."""
        if not self.writes:
            return
        self.state_file.unlink(missing_ok=True)
        if (self.path / LOG).exists():
            draw_log(read_log(self.path), self.path / PLOT)


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a training log, oldest first."""
    return [json.loads(line) for line in (Path(path) / LOG).read_text().splitlines()]
