"""The programs, one recipe a file."""
