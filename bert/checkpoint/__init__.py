"""Weights on disk: finding them by name, reading and writing every format, result folders."""
