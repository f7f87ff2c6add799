"""The callback function: a batch of the callback queue in, partial failures out."""
