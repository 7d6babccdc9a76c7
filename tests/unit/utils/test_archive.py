"""Archives that are not what they should be."""
import io
import os
import tarfile
import zipfile

import pytest

from bert.utils.archive import extract
from bert.utils.errors import DataError


def left(folder):
    return sorted(os.listdir(str(folder)))


def read(path):
    with open(str(path), 'rb') as f:
        return f.read()


def make_zip(path, *members):
    with zipfile.ZipFile(str(path), 'w') as z:
        for member in members:
            z.writestr(*member)
    return str(path)


SPECIAL = {'symlink': tarfile.SYMTYPE, 'hardlink': tarfile.LNKTYPE, 'pipe': tarfile.FIFOTYPE,
           'disk': tarfile.BLKTYPE}


def make_tar(path, *members, **kind):
    with tarfile.open(str(path), kind.get('mode', 'w:gz')) as t:
        for name, body in members:
            info = tarfile.TarInfo(name)
            if name in SPECIAL:
                info.type, info.linkname = SPECIAL[name], '/etc/passwd'
            info.size = len(body)
            t.addfile(info, io.BytesIO(body))
    return str(path)


@pytest.mark.parametrize('make', [make_zip, make_tar])
def test_extract(tmp_path, make):
    archive = make(tmp_path / 'archive', ('d/one.txt', b'1'), ('./two', b'22'))
    target = tmp_path / 'out'
    assert extract(archive, str(target)) == str(target)
    assert left(target) == ['d', 'two'] and read(target / 'd' / 'one.txt') == b'1'
    (target / 'mine').write_bytes(b'3')
    (target / 'two').write_bytes(b'old')
    extract(archive, str(target))
    assert left(target) == ['d', 'mine', 'two'] and read(target / 'two') == b'22'
    assert left(tmp_path) == ['archive', 'out']


def test_extract_a_tar_that_ends_with_a_zip(tmp_path):
    inner = read(make_zip(tmp_path / 'inner.zip', ('x', b'x')))
    make_tar(tmp_path / 'outer.tar', ('inner.zip', inner), mode='w')
    assert zipfile.is_zipfile(str(tmp_path / 'outer.tar'))
    extract(str(tmp_path / 'outer.tar'), str(tmp_path / 'out'))
    assert left(tmp_path / 'out') == ['inner.zip']


LINK = zipfile.ZipInfo('link')
LINK.external_attr = 0o120777 << 16


@pytest.mark.parametrize('make, member', [
    (make_zip, ('../evil', b'')), (make_zip, ('/evil', b'')), (make_zip, ('a/../../evil', b'')),
    (make_zip, ('..\\evil', b'')), (make_zip, (LINK, b'/etc/passwd')),
    (make_tar, ('../evil', b'')), (make_tar, ('/evil', b'')),
    (make_tar, ('symlink', b'')), (make_tar, ('hardlink', b'')), (make_tar, ('pipe', b'')),
    (make_tar, ('disk', b''))])
def test_an_archive_that_leads_out_is_refused_whole(tmp_path, make, member):
    archive = make(tmp_path / 'archive', ('good', b'1'), member)
    with pytest.raises(DataError, match='archive: refused, since its member .* is a link'):
        extract(archive, str(tmp_path / 'out'))
    assert left(tmp_path) == ['archive']


def test_broken_archives(tmp_path):
    whole = read(make_zip(tmp_path / 'a', ('x', b'abc' * 1000)))
    tar = read(make_tar(tmp_path / 'b', ('x', os.urandom(100000))))
    flipped = whole.replace(b'abcabc', b'abdabc')
    for body in (b'', b'no archive', whole[:-30], flipped, tar[:50000], tar[:-20],
                 tar[:5000] + b'\0\0\0\0' + tar[5004:]):
        (tmp_path / 'broken').write_bytes(body)
        with pytest.raises(DataError, match='broken: broken or not a zip or tar archive'):
            extract(str(tmp_path / 'broken'), str(tmp_path / 'out'))
        assert left(tmp_path) == ['a', 'b', 'broken']
