"""Where things lie, for all tests."""
import os

DATA_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data')
ROOT = os.path.dirname(os.path.dirname(DATA_FOLDER))
TINY = os.path.join(DATA_FOLDER, 'tiny_bert')   # a BERT of 2 layers, 32 units, 40 positions
