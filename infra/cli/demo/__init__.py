"""`tasklane demo`: many random tasks, watched until all are final."""
