"""Archives, unpacked whole or not at all."""
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
import zlib

from .errors import DataError

__all__ = ['extract']


def extract(archive: str, folder: str) -> str:
    """Unpack a zip or (compressed) tar file into ``folder``, all of it or nothing.

    An archive with a name that leads out of the folder (absolute, ``..``), a link or a device in
    it is refused whole.  Modes and owners in it are ignored.  A folder that exists keeps its
    other files.

    Returns
    -------
    str
        ``folder``.

    Raises
    ------
    DataError
        If the archive is damaged, refused, or in another format.
    """
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix='.extract-') as scratch:
        whole = os.path.join(scratch, 'whole')
        os.mkdir(whole)
        try:
            _unpack(archive, whole)
        except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError,
                RuntimeError, OSError) as error:
            if getattr(error, 'errno', None):   # the system's own, such as a full disk
                raise
            raise DataError(f"{archive}: broken or not a zip or tar archive "
                            f"({' '.join(str(error).split())}); remove it and fetch it "
                            'again') from error
        try:
            os.replace(whole, folder)
        except OSError:                 # it exists and is not empty
            for here, _, names in os.walk(whole):
                there = os.path.join(folder, os.path.relpath(here, whole))
                os.makedirs(there, exist_ok=True)
                for name in names:
                    os.replace(os.path.join(here, name), os.path.join(there, name))
    return folder


def _unpack(archive, folder):
    if tarfile.is_tarfile(archive):     # asked first: a tar may end like a zip, with one in it
        with tarfile.open(archive) as t:
            _check(archive, [(m.name, m.isreg() or m.isdir()) for m in t.getmembers()])
            t.extraction_filter = lambda member, path: member   # they are checked
            for member in t.getmembers():
                t.extract(member, folder, set_attrs=False)
            while t.fileobj.read(1 << 20):      # up to the checksum of the compressed stream
                pass
    else:
        with zipfile.ZipFile(archive) as z:
            # the upper half of external_attr is the Unix mode, 0 where another system packed it
            _check(archive, [(m.filename, stat.S_IFMT(m.external_attr >> 16) in (
                0, stat.S_IFREG, stat.S_IFDIR)) for m in z.infolist()])
            z.extractall(folder)


def _check(archive, members):
    """Refuse an archive unless all its members (name, is a plain file or folder) stay inside."""
    for name, plain in members:
        if not plain or name.startswith('/') or '..' in name.replace('\\', '/').split('/'):
            raise DataError(f'{archive}: refused, since its member {name!r} is a link, a device or '
                            'a path that leads out of the folder')
