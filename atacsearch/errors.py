"""Errors that a user sees: one clear line that names the place, what was expected and how to fix it.

Every error of the product derives from `AtacsearchError`. The command line prints its message on stderr
without a traceback and exits with its `exit_code`.
"""

from __future__ import annotations


class AtacsearchError(Exception):
    """Something went wrong that the user cannot mend by changing the input. Exit code 1."""

    exit_code = 1


class InputError(AtacsearchError):
    """An input, option or file that the user can fix. Exit code 2.

    The message holds the value that was wrong, where it came from, what was expected and what fixes it.
    """

    exit_code = 2


class GenomeError(InputError):
    """Data of one genome assembly met data of another."""


class DigestError(InputError):
    """A model or universe is not the one that made the vectors it meets."""


class LockedError(InputError):
    """Another process writes to this index."""
