"""The programs, one recipe per file."""
