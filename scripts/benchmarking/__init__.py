"""Measuring the programs beside their peers: what scripts/benchmark.py is made of."""
