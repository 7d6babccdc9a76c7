"""Measuring the programs and their peers: what scripts/benchmark.py is made of."""
