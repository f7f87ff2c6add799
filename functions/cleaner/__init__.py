"""The cleaner function: removes a task's documents when the table removes the task."""
