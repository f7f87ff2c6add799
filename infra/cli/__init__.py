"""The command line: `tasklane`, a client of the API like any other."""
