"""How a command ends: its exit code and the one line it says.

    in   any error that reaches the top of a command
    out  Exit, and a sentence that says what to do

Codes follow BSD's sysexits.h where it has one, so that service managers and scripts can act on
them without reading text: 69 and 75 may be tried again, 74 and 78 need somebody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path

from tsdb.errors import (
    CorruptionError,
    InvalidInput,
    NewerFormat,
    StorageFailed,
    TSDBError,
    Unavailable,
)

__all__ = ["CommandFailed", "Exit", "blaming", "verdict"]


class Exit(IntEnum):
    """docs/reference/cli.md prints these with their comments."""

    OK = 0  # done
    DIFFERENT = 1  # damage found, or values differ from what they should be
    USAGE = 64  # the command line is wrong
    BAD_DATA = 65  # the input is wrong: a file's content, a selector, a limit passed
    NO_INPUT = 66  # an input file or directory is not there
    UNAVAILABLE = 69  # a server does not answer, or asks to try again later
    BUG = 70  # our mistake: please report it with the traceback
    CANNOT_CREATE = 73  # an output file cannot be made
    STORAGE = 74  # the disk: an fsync failed or stored bytes contradict themselves
    LOCKED = 75  # another process has the data directory open
    NO_PERMISSION = 77  # the operating system refuses, or a server: no account, no scope
    CONFIG = 78  # settings do not fit, or data of a newer version
    INTERRUPTED = 130  # Ctrl-C


class CommandFailed(Exception):
    """A command cannot go on; `str` is the one line for the user."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Errors about content say which file it was."""
    try:
        yield
    except InvalidInput as error:
        told = str(error)
        named = "standard input" if str(path) == "-" else str(path)
        line = told if told.startswith(named) else f"{named}: {told}"
        raise CommandFailed(line, Exit.BAD_DATA) from error


def verdict(error: Exception) -> tuple[Exit, str] | None:
    """Exit code and line for errors people can act on; None for what must be a bug."""
    match error:
        case CommandFailed():
            return error.code, str(error)
        case Unavailable(code="locked"):
            return Exit.LOCKED, str(error)
        case Unavailable():
            return Exit.UNAVAILABLE, str(error)
        case StorageFailed() | CorruptionError():
            return Exit.STORAGE, str(error)
        case NewerFormat():
            return Exit.CONFIG, str(error)
        case InvalidInput() | TSDBError():
            return Exit.BAD_DATA, str(error)
        case FileNotFoundError() | NotADirectoryError() | IsADirectoryError():
            return Exit.NO_INPUT, _os_line(error)
        case FileExistsError():
            return Exit.CANNOT_CREATE, _os_line(error)
        case PermissionError():
            return Exit.NO_PERMISSION, _os_line(error)
        case ConnectionError() | TimeoutError():
            return Exit.UNAVAILABLE, _os_line(error)
        case OSError():
            return Exit.STORAGE, _os_line(error)
        case ImportError() if "pip install" in str(error):  # an extra that is not there
            return Exit.CONFIG, str(error)
    return None


def _os_line(error: OSError) -> str:
    what = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{error.filename}: {what}" if error.filename else what
