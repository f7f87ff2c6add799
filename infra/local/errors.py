"""What a developer is told when the local run cannot go on."""


class LocalRunError(Exception):
    """The run cannot start or go on; its message is one sentence or two that say what to do."""
