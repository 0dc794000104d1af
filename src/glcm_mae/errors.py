"""The errors that a user is meant to read."""


class InputError(ValueError):
    """Bad input: the message names the file or setting, the rule, and the remedy.

    The command line prints it on one line and exits with code 2; every other
    exception is a defect of ours and keeps its traceback.
    """


class DivergenceError(RuntimeError):
    """The training left the finite numbers: the message names the step and the images."""
