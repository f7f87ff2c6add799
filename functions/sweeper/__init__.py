"""The sweeper function: runs every minute."""
