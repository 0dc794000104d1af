"""The errors that a user is meant to read."""


class InputError(ValueError):
    """Bad input: the message names the file or setting, the rule, and the remedy.

    The command line prints it on one line and exits with code 2; every other
    exception is a defect of ours and keeps its traceback.
    """


class DivergenceError(RuntimeError):
    """The training left the finite numbers: the message names the step and the images."""


class StoppedError(RuntimeError):
    """A signal stopped the training after a whole step; what was reached is saved.

    Attributes:
        signal: Number of the signal; the command line exits with 128 plus it.
    """

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal
