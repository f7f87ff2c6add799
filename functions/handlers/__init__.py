"""Handlers, one file per task type: this is what users of Tasklane add to."""
