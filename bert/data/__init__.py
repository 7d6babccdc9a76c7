"""Data sets and files of examples: readers, writers, features, and the order of training."""
