"""A local HTTP server for the tests of downloads, which can be made to misbehave."""
import collections
import hashlib
import http.server
import re
import threading

Answer = collections.namedtuple('Answer', 'body status headers')


class Server:
    """Serves ``put`` bodies on a free local port while it is entered.

    ``requests`` lists what came: (method, path, Range header or None).
    """

    def __init__(self):
        self.answers, self.faults, self.requests = {}, {}, []
        self.closing = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):
                server.answer(self)

            do_HEAD = do_GET

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.http.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.http.server_port}/'

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def put(self, path, body=b'', status=200, etag=True, headers=()):
        """Serve ``body`` at ``path``; returns its address."""
        headers = dict(headers)
        if etag:
            headers.setdefault('ETag', f'"{hashlib.sha1(body).hexdigest()}"')
        self.answers[path] = Answer(body, status, headers)
        return self.url + path

    def fault(self, path, *faults):
        """What the next GETs of ``path`` meet, in this order; the last one repeats for ever.

        None: nothing; 'cut': the connection closes halfway; 'stall': silence from halfway on;
        'dribble': the second half takes 2.5 s, in pieces; 'no range': the whole body, whatever
        was asked for; 'other range': the body from its start, said so; a number: this status.
        """
        self.faults[path] = list(faults)

    def gets(self, path):
        """The Range headers of the GETs of ``path`` so far."""
        return [asked for method, name, asked in self.requests
                if method == 'GET' and name == path]

    def answer(self, handler):
        """Answer one request."""
        path = handler.path.lstrip('/')
        asked = handler.headers.get('Range')
        self.requests.append((handler.command, path, asked))
        body, status, headers = self.answers.get(path, Answer(b'', 404, {}))
        faults = self.faults.get(path, [None]) if handler.command == 'GET' else [None]
        fault = faults.pop(0) if len(faults) > 1 else faults[0]
        if isinstance(fault, int):
            body, status = b'', fault
        whole, start = len(body), 0
        condition = handler.headers.get('If-Range')
        same = condition is None or (condition == headers.get('ETag') and condition[0] == '"')
        if asked and same and status == 200 and fault != 'no range':
            if fault != 'other range':
                start = int(re.match(r'bytes=(\d+)-', asked).group(1))
            status = 206 if start < whole else 416
            body = body[start:]
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header('Content-Length', str(len(body)))
        if status == 206:
            handler.send_header('Content-Range', f'bytes {start}-{whole - 1}/{whole}')
        handler.end_headers()
        if handler.command == 'GET':
            try:
                self.send(handler, body, fault)
            except OSError:                 # the client has gone, as it should
                handler.close_connection = True

    def send(self, handler, body, fault):
        """Send ``body`` as ``fault`` has it."""
        if fault not in ('cut', 'stall', 'dribble'):
            handler.wfile.write(body)
            return
        half = len(body) // 2
        handler.wfile.write(body[:half])
        if fault == 'stall':
            self.closing.wait(20)
        if fault == 'dribble':
            for i in range(half, len(body), 1 + half // 10):
                self.closing.wait(0.25)
                handler.wfile.write(body[i:i + 1 + half // 10])
            return
        handler.close_connection = True


def put_hub(server, repo, files, commit='c' * 40):
    """Make ``server`` a hub with ``repo`` in it; ``files``: name -> bytes.

    A body over 1000 bytes is named by its SHA-256, as the hub names large files.
    """
    server.put(f'api/models/{repo}/revision/main', b'{"sha": "%s"}' % commit.encode())
    for revision in ('main', commit):
        for name in ('config.json', 'tokenizer_config.json', 'tokenizer.json', 'vocab.txt',
                     'model.safetensors', 'pytorch_model.bin', 'added_tokens.json', 'modules.json',
                     'special_tokens_map.json', 'config_sentence_transformers.json',
                     'model.safetensors.index.json', *files):
            path = f'{repo}/resolve/{revision}/{name}'
            headers = {'X-Repo-Commit': commit}
            if name not in files:
                server.put(path, b'', 404, False, dict(headers, **{
                    'X-Error-Code': 'EntryNotFound'}))
                continue
            body = files[name]
            digest = hashlib.sha256(body) if len(body) > 1000 else hashlib.sha1(
                b'blob %d\0' % len(body) + body)
            server.put(path, body, headers=dict(headers, ETag=f'"{digest.hexdigest()}"'))
