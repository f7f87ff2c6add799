"""Tasklane's core: what a task is, what may happen to it, and the use cases that make it happen.

It knows no web framework and no Lambda event; adapters reach it through the ports in ``tasklane.ports``.
"""

__version__ = "0.1.0"
