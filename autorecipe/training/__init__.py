"""Training: the one loop, and what is measured with it."""
