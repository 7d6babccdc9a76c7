"""What all readers have in common."""
import shutil
from pathlib import Path

import bert  # noqa: F401  (the numpy aliases, before anything imports MXNet)

ROOT = Path(__file__).resolve().parents[3]
TINY, SAMPLE = ROOT / 'tests/data/tiny_bert', ROOT / 'bert/sample'


class Nonsense(Exception):
    """What a reader accepted but should have refused."""


class Reader:
    """Reads one kind of input; ``folder`` is where its good files lie.

    ``file`` is the one that is damaged, ``damage(draw, content)`` returns other bytes.  ``read``
    takes the folder with the damaged file; it raises :class:`Nonsense` for what should be refused.
    """

    file, damage = None, None

    def make(self, folder):
        """Write the good files."""
        shutil.copyfile(self.source, folder / self.file)

    def spoil(self, draw, folder):
        """Damage the file."""
        path = folder / self.file
        path.write_bytes(type(self).damage(draw, path.read_bytes()))

    def read(self, folder):
        """Read the file as the programs do."""
        raise NotImplementedError
