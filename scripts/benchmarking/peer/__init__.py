"""The peers' half of benchmark.py, run as a folder by their own interpreter."""
