"""The formats of an export by name; importing this needs no MXNet.

A new one is a module with a class that has the attributes and methods of
:class:`~export.symbol.Symbol`, and an entry here.
"""
import importlib
from typing import Any

__all__ = ['FORMATS', 'find']

FORMATS = {'symbol': 'Symbol', 'onnx': 'Onnx'}      # the module in this package -> its class


def find(name: str) -> Any:
    """The class of a format."""
    return getattr(importlib.import_module('.' + name, __package__), FORMATS[name])
