"""Pieces of networks that are of no detector in particular."""
