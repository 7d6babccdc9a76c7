"""The formats of an export by name.

A new one is a class with the attributes and methods of :class:`~.symbol.Symbol`, and an entry here.
"""
from .onnx import Onnx
from .symbol import Symbol

__all__ = ['FORMATS']

FORMATS = {'symbol': Symbol, 'onnx': Onnx}
