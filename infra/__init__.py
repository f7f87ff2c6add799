"""What runs Tasklane: the local run, and what checks and deploys template.yaml. Nothing in here ships."""
