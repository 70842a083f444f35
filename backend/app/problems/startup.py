"""Why the program does not start."""


class StartupError(Exception):
    """The program must not serve as things are; the message tells the person who starts it what to do."""
