"""Training and evaluation: the loops, what they keep, and what they say."""
