"""What goes wrong. Messages say where, what was given and what is accepted."""


class Error(RuntimeError):
    """Of this module and of the program."""


class BadRequest(Error, ValueError):
    """The request was wrong; nothing was written."""


class WorkFailed(Error):
    """The work itself failed: a disk is full, a number overflowed."""


class Interrupted(Error):
    """The work was interrupted; its state is saved, and the same call goes on."""


def of_code(code, message):
    """The error of an exit code of the program."""
    return {2: BadRequest, 130: Interrupted}.get(code, WorkFailed)(message)
