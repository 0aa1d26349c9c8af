"""The root command `atacsearch`: the table of its commands and the handling of errors common to all."""

from __future__ import annotations

import warnings
from typing import Any

import click

from .._version import __version__
from .failures import DEBUG, clear_errors
from .lazy import LazyCommand, LazyGroup
from .options import debug_option

COMMANDS = {
    "demo": LazyCommand("atacsearch.cli.demo:demo", "The main job on real public data, with a report."),
    "universe": LazyCommand("atacsearch.cli.universe:universe", "Build a universe or look into one."),
    "tokenize": LazyCommand("atacsearch.cli.tokenize:tokenize", "Turn cells or BED files into token sets."),
    "train": LazyCommand("atacsearch.cli.train.train:train", "Train a model."),
    "embed": LazyCommand(
        "atacsearch.cli.embed:embed", "Turn cells, BED files or their regions into vectors."
    ),
    "index": LazyCommand("atacsearch.cli.index:index", "Create an index, add to it, check it."),
    "search": LazyCommand("atacsearch.cli.search:search", "Find the nearest cells, BED files or regions."),
    "overlap": LazyCommand(
        "atacsearch.cli.overlap:overlap", "Tell which files, cell types and contexts have a region."
    ),
    "compare": LazyCommand(
        "atacsearch.cli.compare:compare",
        "Tell which regions set two cell types, files or contexts apart.",
    ),
    "annotate": LazyCommand("atacsearch.cli.annotate:annotate", "Name cells or BED files by label transfer."),
}


class RootGroup(LazyGroup):
    """The group that turns every failure below it into one clear line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; libraries' deprecation notes are for developers, not for users."""
        with clear_errors(ctx), warnings.catch_warnings():
            if not ctx.meta.get(DEBUG):
                warnings.simplefilter("ignore", FutureWarning)
                warnings.simplefilter("ignore", DeprecationWarning)
            return super().invoke(ctx)


@click.group(cls=RootGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atacsearch")
@debug_option
def cli() -> None:
    """Search and annotate open-chromatin data: cells, BED files and single regions.

    Data go to stdout, progress and messages to stderr. `atacsearch COMMAND --help` explains a command.

    \b
    Example:
      atacsearch demo
      atacsearch annotate new_cells.h5ad --index my.index --label cell_type --format tsv
    """


def run_in_process(words: list[str]) -> object:
    """Run `atacsearch WORDS...` in this process; its exit code where it failed."""
    return cli.main(words, prog_name="atacsearch", standalone_mode=False)
