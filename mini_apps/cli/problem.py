"""What a command raises when it cannot do what was asked."""

EXIT_ERROR = 1
EXIT_USAGE = 2


class Problem(Exception):
    """An expected failure; the text is one clear line that says what to do next.

    Args:
        text: the line, without a secret in it.
        code: the exit code, 1 or 2.
    """

    def __init__(self, text: str, code: int = EXIT_ERROR) -> None:
        super().__init__(text)
        self.code = code
