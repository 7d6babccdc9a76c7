"""Memory that the process has freed."""
import contextlib
import ctypes

__all__ = ['give_back']


def give_back() -> None:
    """Give freed memory back to the system, where the C library can (glibc, malloc_trim(3)).

    ``import bert`` has glibc keep it, which makes equal steps faster; this is for between phases.
    """
    with contextlib.suppress(AttributeError, OSError):      # another C library
        ctypes.CDLL(None).malloc_trim(0)
