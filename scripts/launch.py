"""Start a program as several workers of MXNet's parameter servers, on this machine.

    python launch.py -n 2 -s 1 python run_pretraining.py --kvstore dist_sync --data '/path/*.npz'

When a process dies, the others are ended within seconds.  For several hosts, start the processes by
hand, with the same command for all of them and these variables:

    DMLC_ROLE             scheduler (one), server (several) or worker (several)
    DMLC_PS_ROOT_URI      IP address of the scheduler's host, in all of them
    DMLC_PS_ROOT_PORT     a free port there
    DMLC_NUM_WORKER       number of workers on all hosts
    DMLC_NUM_SERVER       number of servers on all hosts; as many as workers is a good choice
    DMLC_INTERFACE        network interface to use, where a host has several
"""
import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# servers and the scheduler serve inside `import mxnet`
SERVE = [sys.executable, '-c', f'import sys; sys.path.insert(0, {ROOT!r}); import bert, mxnet']
GRACE = 5       # seconds to end in
STOP = (signal.SIGINT, signal.SIGTERM)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-n', '--num-workers', type=int, required=True, metavar='N')
    parser.add_argument('-s', '--num-servers', type=int, metavar='N',
                        help='(default: as many as workers)')
    parser.add_argument('command', nargs=argparse.REMAINDER, help='the program and its flags')
    args = parser.parse_args(argv)
    if args.num_servers is None:
        args.num_servers = args.num_workers
    if min(args.num_workers, args.num_servers) < 1:
        parser.error('-n and -s are 1 or more')
    if not args.command:
        parser.error('the command to run is missing')
    return args


def main(argv=None):
    args = parse_args(argv)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    env = dict(os.environ, DMLC_PS_ROOT_URI='127.0.0.1', DMLC_PS_ROOT_PORT=str(port),
               DMLC_NUM_WORKER=str(args.num_workers), DMLC_NUM_SERVER=str(args.num_servers))
    share = max(1, len(os.sched_getaffinity(0)) // args.num_workers)
    env['OMP_NUM_THREADS'] = str(min(int(env.get('OMP_NUM_THREADS') or share), share))
    stopped = []
    before = {number: signal.signal(number, lambda number, frame: stopped.append(number))
              for number in STOP}
    processes = {}
    try:
        processes['the scheduler'] = start(SERVE, env, 'scheduler')
        for i in range(args.num_servers):
            processes[f'server {i}'] = start(SERVE, env, 'server')
        for i in range(args.num_workers):
            processes[f'worker {i}'] = start(args.command, env, 'worker')
        return follow(processes, stopped)
    except OSError as error:
        say(f'{args.command[0]}: {error.strerror}')
        return 1
    finally:
        end(processes.values())
        for number, handler in before.items():
            signal.signal(number, handler)


def start(command, env, role):
    """A process of the job, in a session of its own: Ctrl-C is for the workers alone, and comes
    from here."""
    return subprocess.Popen(command, env=dict(env, DMLC_ROLE=role), start_new_session=True,
                            preexec_fn=_end_with_parent)


def _end_with_parent():
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def follow(processes, stopped):
    """Wait for the workers; the exit code, soon after the first process has died."""
    workers = {name: p for name, p in processes.items() if name.startswith('worker')}
    asked = None
    while any(p.poll() is None for p in workers.values()):
        if len(stopped) > 1:
            return 128 + stopped[1]
        if stopped and asked is None:
            asked = stopped[0]
            for process in workers.values():
                if process.poll() is None:
                    process.send_signal(asked)
        for name, process in processes.items():
            code = process.poll()
            if code and not (asked and name in workers):
                say('%s (process %d) %s; the others are ended now' % (
                    name, process.pid, f'was killed by signal {-code}' if code < 0 else
                    f'ended with exit code {code}'))
                return 128 - code if code < 0 else code
        time.sleep(0.1)
    codes = [p.returncode for p in workers.values()]
    return next((128 - code if code < 0 else code for code in codes if code), 0)


def end(processes):
    """End what still runs; after the workers, servers have nothing left to do."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    limit = time.time() + GRACE
    for process in running:
        try:
            process.wait(max(0, limit - time.time()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def say(text):
    print(f'launch.py: {text}', file=sys.stderr, flush=True)


def program():
    """The console command."""
    sys.exit(main())


if __name__ == '__main__':
    program()
