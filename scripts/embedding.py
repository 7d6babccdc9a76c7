"""The program of bert/embedding.py, for scripts/: vectors of words and of sentences.

    python embedding.py --sentences "A sentence to embed."
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from bert.embedding import program

if __name__ == '__main__':
    program()
