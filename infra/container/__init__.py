"""Tasklane without Lambda: one process a role, configured by environment only."""
