"""Downloads over HTTP: resumed, checked, and under their final name only when complete.

A body is received into ``FILE.part`` (its ETag into ``FILE.part.etag``).  A later run resumes what
an interrupted one left; of several processes that want the same file, one downloads and the others
wait for it.
"""
import hashlib
import os
import queue
import re
import socket
import sys
import threading
import time
from http.client import responses
from pathlib import Path
from typing import Optional

from .errors import DataError
from .locks import locked

__all__ = ['DownloadError', 'download', 'is_offline', 'reach', 'refusal', 'sha1sum',
           'why']

_TRIES = 3                  # attempts in a row that bring nothing new
_BACKOFF = 1.0              # seconds between the first two of them, doubled from then on
_LONGEST_WAIT = 60          # seconds, whatever a server asks for in its Retry-After
_REACH = 2.5                # seconds; three hosts that can't be reached take less than 10
_CHUNK = 1 << 15            # bytes; a broken connection loses at most this many
_LARGE = 10 << 20           # bytes from which a download is announced where no bar can be drawn
_RERUN = 'check the network (HTTPS_PROXY?) and run again: the download continues where it stopped'


class DownloadError(DataError):
    """A file that could not be downloaded: one line with the address, the reason and the cure.

    ``reason`` is that line without the cure, for callers that have other places to look.
    """

    def __init__(self, url: str, what: object, cure: str):
        self.reason = f'{url}: {what}'
        super().__init__(f'{self.reason}; {cure}')


def download(url: str, path: str, sha1: Optional[str] = None, offline: bool = False,
             timeout: float = 30.0) -> str:
    """Fetch ``url`` into the file ``path``, unless it is there already; returns ``path``.

    Parameters
    ----------
    url, path : str
        http(s) address, and the file to write; its folder is made.
    sha1 : str, optional
        Hexadecimal SHA-1 of the whole file.
    offline : bool
        Raise rather than use the network.
    timeout : float
        Seconds without a byte after which an attempt is given up.

    Raises
    ------
    DownloadError
        After the last attempt, or at once where another one can't help (403, 404, no network).
    """
    if not _fault(path, sha1):
        return path
    if offline:
        raise DownloadError(url, 'not fetched, since this run is offline',
                            f'put the file at {path}, or go online')
    part, etag = Path(path + '.part'), Path(path + '.part.etag')
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with locked(path):
            if not _fault(path, sha1):      # another process has brought it meanwhile
                return path
            if sha1 is None and not _length(etag):
                part.unlink(missing_ok=True)    # nothing would show that the file has changed
            _receive(url, part, etag, timeout)
            fault = _fault(part, sha1)
            etag.unlink(missing_ok=True)
            if fault:
                part.unlink()
                raise DownloadError(url, fault, 'what came was removed; try again, or another host')
            part.replace(path)
    except OSError as error:
        raise DownloadError(url, f'{path} can\'t be written ({error.strerror or error})',
                            'free some space or choose another folder') from error
    return path


def _fault(path, sha1):
    """What is wrong with the file ``path``, or None."""
    if not os.path.isfile(path):
        return 'there is no such file'
    found = sha1 and sha1sum(path)
    return f'its SHA-1 is {found} where {sha1} was expected' if found != sha1 else None


def _receive(url, part, etag, timeout):
    """Complete the file ``part``; a broken body is resumed while attempts bring something new."""
    import requests
    from urllib3.util import Retry

    class Patient(Retry):
        def get_retry_after(self, response):
            return min(super().get_retry_after(response) or 0, _LONGEST_WAIT)

    adapter = requests.adapters.HTTPAdapter(max_retries=Patient(    # until an answer begins
        _TRIES - 1, backoff_factor=_BACKOFF, status_forcelist=(408, 429, 500, 502, 503, 504),
        raise_on_status=False))
    best, tries = _length(part), _TRIES
    try:
        requests.Request('GET', url).prepare()      # or an error that shows what is wrong with it
        reach(url)
        with requests.Session() as session:
            session.mount('http://', adapter)
            session.mount('https://', adapter)
            while True:
                problem = _attempt(session, url, part, etag, timeout)
                if not problem:
                    return
                tries = _TRIES if _length(part) > best else tries - 1
                best = max(best, _length(part))
                if not tries:
                    raise DownloadError(url, problem, _RERUN)
                time.sleep(_BACKOFF * 2 ** (_TRIES - tries - 1))
    except (requests.ConnectionError, requests.Timeout) as error:
        raise DownloadError(url, why(error), _RERUN) from error
    except requests.RequestException as error:
        raise DownloadError(url, why(error), 'correct the address') from error


def _attempt(session, url, part, etag, timeout):
    """One request for what ``part`` lacks; what broke it off, or None."""
    import requests
    from tqdm import tqdm
    have, headers = _length(part), {'Accept-Encoding': 'identity'}
    if have:
        headers['Range'] = f'bytes={have}-'
        if _length(etag):               # the server sends the whole of a file that has changed
            headers['If-Range'] = etag.read_text('latin-1')
    with session.get(url, headers=headers, stream=True, timeout=(_REACH, timeout)) as answer:
        status, length = answer.status_code, answer.headers.get('Content-Length', '')
        sent = re.match(r'bytes (\d+)-\d+/(\d+)', answer.headers.get('Content-Range', ''))
        if status == 200:
            part.write_bytes(b'')       # emptied before its ETag changes
            etag.write_text(answer.headers.get('ETag', ''), 'latin-1')
            encoded = answer.headers.get('Content-Encoding', 'identity') != 'identity'
            have, total = 0, int(length) if length.isdigit() and not encoded else None
        elif status == 206 and sent and int(sent[1]) == have:
            total = int(sent[2])
        elif status in (206, 416):      # not the range that was asked for: start over
            part.unlink(missing_ok=True)
            etag.unlink(missing_ok=True)
            return f'{refusal(status)} to a request for the bytes from {have}'
        elif status in (408, 429) or status >= 500:
            raise DownloadError(url, refusal(status), _RERUN)
        else:
            raise DownloadError(url, refusal(status), 'the host does not serve it: get the file '
                                f'elsewhere and put it at {part.with_suffix("")}')
        if total and total >= _LARGE and not sys.stderr.isatty():
            print(f'downloading {part.stem} ({total >> 20} MB) from {url}', file=sys.stderr)
        with part.open('ab') as f, tqdm(
                total=total, initial=have, desc=part.stem, unit='B', unit_scale=True,
                file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
            try:
                for chunk in answer.iter_content(_CHUNK):
                    f.write(chunk)
                    bar.update(len(chunk))
            except requests.RequestException as error:
                return why(error)
    if total and _length(part) < total:
        return f'the connection closed after {_length(part)} of {total} bytes'
    return None


def _length(path):
    return path.stat().st_size if path.exists() else 0


def reach(url: str) -> None:
    """Raise requests.ConnectionError unless the host of ``url``, or the proxy before it, answers.

    The timeouts of network libraries hold for one address and one attempt, and none covers the
    look-up of a name: without a network they add up to minutes.  This takes ``_REACH`` seconds.
    """
    import requests
    from urllib3.util import parse_url
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    server = parse_url(proxy or url)
    outcome = queue.Queue()

    def connect():
        try:
            port = server.port or (443 if server.scheme == 'https' else 80)
            socket.create_connection((server.host.strip('[]'), port), _REACH).close()
            outcome.put(None)
        except OSError as error:
            outcome.put(why(error))

    threading.Thread(target=connect, daemon=True).start()   # a look-up can't be interrupted
    try:
        problem = outcome.get(timeout=_REACH)
    except queue.Empty:
        problem = f'no connection to {server.host} within {_REACH} seconds'
    if problem:
        raise requests.ConnectionError(problem)


def is_offline(offline: Optional[bool] = None) -> bool:
    """``offline`` if given, else whether BERT_OFFLINE or HF_HUB_OFFLINE asks for it."""
    if offline is not None:
        return offline
    return any(os.environ.get(name, '').upper() in ('1', 'ON', 'YES', 'TRUE')
               for name in ('BERT_OFFLINE', 'HF_HUB_OFFLINE'))


def why(error: BaseException) -> str:
    """The innermost cause of a network library's error, in a few words."""
    inner = error
    while inner and not isinstance(inner, DataError):       # ours is of an earlier source
        error, inner = inner, inner.__cause__ or inner.__context__
    text = ' '.join((getattr(error, 'strerror', None) or str(error)).split())
    return text or type(error).__name__


def refusal(status: int) -> str:
    """An HTTP status with its name: '404 Not Found'."""
    return f"{status} {responses.get(status, '')}".strip()


def sha1sum(path: str) -> str:
    """Hexadecimal SHA-1 of a file."""
    digest = hashlib.sha1()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
