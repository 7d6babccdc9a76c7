"""The export program; examples/ shows how to use what it writes."""
