"""The shared package of gluon-bert: models, tokenizers, data and the training step.

Importing it does one thing: it gives numpy back the aliases (``np.bool``, ...) that MXNet 1.9
uses at import and that numpy 1.24 removed.  ``import bert`` therefore stands before
``import mxnet``; every module here and every script does so.
"""
import numpy

__version__ = '0.1.0'

for _name, _type in {'bool': bool, 'int': int, 'float': float, 'complex': complex,
                     'object': object, 'str': str}.items():
    if _name not in numpy.__dict__:     # hasattr would warn on numpy 1.20 to 1.23
        setattr(numpy, _name, _type)
