"""Start a program as several workers of MXNet's parameter servers, on one host or several.

    python launch.py -n 2 -s 1 python run_pretraining.py --kvstore dist_sync --data '/path/*.npz'
    python launch.py -n 4 -s 2 -H host0,host1 python run_pretraining.py --kvstore dist_sync \\
        --data '/path/*.npz'

With -H, the first host is this one, and ssh reaches the other hosts without a password; they need
the same checkout, interpreter and working directory at the same paths.  Without ssh, add
--by_hand: the command to run on each of the other hosts is printed, and the job starts when all of
them have joined, which they must within two minutes.

When a process dies, or a host is silent for 20 seconds, every host ends its processes and
logs which one it was.  On Ctrl-C the workers save and stop.
"""
if not __package__:     # run as a file: `bert` is the checkout's
    import os.path
    import sys
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

import argparse
import base64
import json
import os
import queue
import secrets
import shlex
import socket
import subprocess
import sys
import time

from bert.training.jobs import Host, Part, log, wait
from bert.utils import cli
from bert.utils.errors import run
from bert.utils.signals import end_with_parent, stop_signals

JOIN = 120          # seconds for all hosts to join
# to the other hosts; no HF_TOKEN, because `ps` shows the command that takes these there
_PASSED_ON = ('BERT_', 'MXNET_', 'PS_', 'OMP_', 'MALLOC_', 'HF_HOME', 'HF_HUB_', 'HF_ENDPOINT',
              'CUDA_', 'CXX', 'PYTHONPATH', 'PATH', 'LD_LIBRARY_PATH', 'VIRTUAL_ENV',
              'XDG_CACHE_HOME')


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; it leaves the flags of the command as they are."""
    error, flags = cli.Parser.error, {}


def parse_args(argv=None):
    parser = Parser(description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-n', '--num-workers', '--num_workers', type=cli.positive_int,
                        metavar='N', help='number of workers')
    parser.add_argument('-s', '--num-servers', '--num_servers', type=cli.positive_int,
                        metavar='N', help='number of parameter servers (default: as many as '
                                          'workers)')
    parser.add_argument('-H', '--hosts', metavar='HOST,HOST',
                        help='hosts to run on, this one first (default: only this one)')
    parser.add_argument('--address', metavar='IP',
                        help='of this host, for the other hosts (default: the one that reaches '
                             'the second host)')
    parser.add_argument('--ssh', default='ssh -o BatchMode=yes -o ConnectTimeout=10',
                        metavar='COMMAND',
                        help='command that reaches the other hosts (default: %(default)s)')
    parser.add_argument('--by_hand', '--by-hand', action='store_true',
                        help='print what to run on the other hosts, in place of ssh')
    parser.add_argument('--join', help=argparse.SUPPRESS)
    parser.add_argument('command', nargs=argparse.REMAINDER, help='the program and its flags')
    args = parser.parse_args(argv)
    if args.join:
        return args
    if args.num_workers is None:
        parser.error('the following arguments are required: -n')
    if args.num_servers is None:
        args.num_servers = args.num_workers
    if not args.command:
        parser.error('the command to run is missing')
    hosts = [host.strip() for host in (args.hosts or 'localhost').split(',')]
    if ':' in ''.join(hosts):
        parser.error(f'-H {args.hosts}: names of hosts only; the {args.num_workers} workers are '
                     'shared out evenly')
    if not all(hosts) or args.num_workers < len(hosts):
        parser.error(f'-H {args.hosts}: each host needs a name, and at least one of the '
                     f'{args.num_workers} workers')
    if len(set(hosts)) < len(hosts):
        parser.error(f'-H {args.hosts}: name each host once, as in -H '
                     f'{",".join(dict.fromkeys(hosts))}; the {args.num_workers} workers are shared '
                     'out evenly')
    args.hosts = hosts
    return args


def main(argv=None):
    args = parse_args(argv)
    signals = []
    with stop_signals(signals.append):
        return join(args.join, signals) if args.join else start_job(args, signals)


def start_job(args, signals):
    """Start the whole job from this host; the exit code."""
    others = args.hosts[1:]
    if others and not args.address and not _is_here(args.hosts[0]):
        log(f'-H: the first host must be this one, {socket.gethostname()}; start the job on '
            f'{args.hosts[0]} or, if this is it, give its --address')
        return 1
    address = args.address or (_address_towards(others[0]) if others else '127.0.0.1')
    if address is None:
        log(f'-H: the host {others[0]} is not known here; give its name or IP address, or the '
            '--address of this host')
        return 1
    with socket.socket() as watch, socket.socket() as free:
        try:
            watch.bind((address, 0))
            free.bind((address, 0))
        except OSError as error:
            log(f'--address {address}: {error.strerror}; give an IP address of this host')
            return 1
        port = free.getsockname()[1]
        watch.listen(len(args.hosts))
        jobs = _jobs(args, address, port, watch.getsockname()[1])
        free.close()
        started = []
        hosts = []
        try:
            for job in jobs[1:]:
                command = _join_command(job)
                if args.by_hand:
                    log(f'run this on {job["host"]}: {command}')
                else:
                    started.append(subprocess.Popen(
                        [*shlex.split(args.ssh), job['host'], command], stdin=subprocess.DEVNULL,
                        start_new_session=True, preexec_fn=end_with_parent))
            hosts = _accept(watch, jobs, started, signals)
            return hosts if isinstance(hosts, int) else Part(jobs[0], hosts, signals).run()
        finally:
            for process in started:
                wait(process, 5)


def _jobs(args, address, port, watch_port):
    """What each host runs: list of dicts that JSON can hold."""
    env = {name: value for name, value in _given().items() if name.startswith(_PASSED_ON)}
    env.update(DMLC_NODE_HOST=address, DMLC_PS_ROOT_URI=address, DMLC_PS_ROOT_PORT=str(port),
               DMLC_NUM_WORKER=str(args.num_workers), DMLC_NUM_SERVER=str(args.num_servers))
    count, token = len(args.hosts), secrets.token_hex(16)
    jobs = []
    for i, host in enumerate(args.hosts):
        roles = ['scheduler'] if i == 0 else []
        roles += [f'server {n}' for n in range(i, args.num_servers, count)]
        # neighbours in rank stay on one host
        roles += [f'worker {n}' for n in range(i * args.num_workers // count,
                                               (i + 1) * args.num_workers // count)]
        jobs.append({'host': host if count > 1 else '', 'roles': roles, 'env': env,
                     'command': args.command, 'folder': os.getcwd(), 'token': token,
                     'watch': [address, watch_port]})
    return jobs


def _given():
    """This process's environment as it was given: `import bert` adds the threads of this host."""
    with open('/proc/self/environ', 'rb') as f:
        variables = os.fsdecode(f.read()).split('\0')
    return dict(variable.split('=', 1) for variable in variables if '=' in variable)


def _join_command(job):
    """The shell command that runs a job on another host."""
    text = base64.urlsafe_b64encode(json.dumps(job).encode()).decode()
    return f'{shlex.quote(sys.executable)} {shlex.quote(os.path.abspath(__file__))} --join {text}'


def _without_user(host):
    """The name of a host that ssh may know as user@host."""
    return host.rpartition('@')[2]


def _is_here(host):
    """Whether a host is this one, as far as can be told: its name or address is."""
    host = _without_user(host)
    if host.partition('.')[0] == socket.gethostname().partition('.')[0]:
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.bind((host, 0))
        except socket.gaierror:     # a name that only ssh knows
            return True
        except OSError:
            return False
        return True


def _address_towards(host):
    """This host's IP address on the way to another, None where that is not known."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect((_without_user(host), 9))
        except OSError:
            return None
        return s.getsockname()[0]


def _accept(watch, jobs, started, signals):
    """The other hosts, once all have joined; an exit code if they do not."""
    missing = {job['host'] for job in jobs[1:]}
    hosts, limit = [], time.monotonic() + JOIN
    watch.settimeout(0.2)
    while missing:
        failed = next((p for p in started if p.poll()), None)
        if failed or signals or time.monotonic() > limit:
            log(f'{", ".join(sorted(missing))}: could not be joined ' + (
                f'({shlex.join(failed.args[:-1])} ended with exit code {failed.returncode})'
                if failed else f'within {JOIN} s' if not signals else 'before the job was stopped'))
            for host in hosts:
                host.send('failed', 'the job could not be started on all hosts')
            return 1
        try:
            connection, _ = watch.accept()
            host = Host(connection)
            kind, text = host.messages.get(timeout=5)
        except (socket.timeout, queue.Empty):
            continue
        name, _, token = text.rpartition(' ')
        if kind == 'join' and token == jobs[0]['token'] and name in missing:
            host.name = name
            missing.remove(name)
            hosts.append(host)
    return hosts


def join(text, signals):
    """Run this host's part of a job that another host has started; the exit code."""
    job = json.loads(base64.urlsafe_b64decode(text))
    try:
        os.chdir(job['folder'])
        connection = socket.create_connection(tuple(job['watch']), timeout=10)
    except OSError as error:
        log(f'{job["host"]}: {error.filename or ":".join(map(str, job["watch"]))}: '
            f'{error.strerror or error}')
        return 1
    job['env']['DMLC_NODE_HOST'] = connection.getsockname()[0]
    first = Host(connection, job['watch'][0])
    first.send('join', f'{job["host"]} {job["token"]}')
    return Part(job, [first], signals, joined=True).run()


def program():
    """The console command."""
    run(main)


if __name__ == '__main__':
    program()
