"""The worker function: a batch of a lane in, partial failures out."""
