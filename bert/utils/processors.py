"""The processors that this process may use, by affinity, control group and share of a host; and
what they are."""
import contextlib
import os
import re
from typing import Collection, Dict, Iterator, Optional, Union

__all__ = ['available', 'describe', 'is_one_of_several', 'share', 'size_variable', 'workers']

_CGROUPS = '/sys/fs/cgroup'
# how many workers there are, as launch.py, Open MPI's mpirun and horovodrun tell them
_SIZES = 'DMLC_NUM_WORKER', 'OMPI_COMM_WORLD_SIZE', 'HOROVOD_SIZE'
# the same of MPICH, Intel MPI and Slurm, and the number of this one
_TASKS, _RANKS = ('PMI_SIZE', 'SLURM_STEP_NUM_TASKS'), ('PMI_RANK', 'PMIX_RANK')
# how many of them are on this host
_LOCAL_SIZES = 'OMPI_COMM_WORLD_LOCAL_SIZE', 'HOROVOD_LOCAL_SIZE', 'MPI_LOCALNRANKS'


def _cores(processors: Collection[int]) -> int:
    """The number of physical cores behind ``processors``, the numbers of logical ones."""
    found = set()
    for number in processors:
        path = f'/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list'
        found.add(_read(path) or number)    # unknown: count each processor as a core
    return len(found)


def available() -> int:
    """The number of logical processors for this process: of its affinity, and in whose time its
    control group is not above its quota (``docker run --cpus``)."""
    return max(1, int(min(len(os.sched_getaffinity(0)), _quota('self'))))


def share() -> int:
    """The number of cores for this process.

    If a launcher started several here, they share what it may use; one that was given fewer
    processors, or a quota of its own, keeps to these.
    """
    most = min(_cores(os.sched_getaffinity(0)), _quota('self'))
    for name in _LOCAL_SIZES:
        count = _number(name)
        if count:
            launcher = _launcher(name)
            with contextlib.suppress(ProcessLookupError):
                host = os.sched_getaffinity(launcher)       # of 0, which is outside: our own
                most = min(most, _cores(host) // count, _quota(launcher or 'self') / count)
            break
    return max(1, int(most))


def describe() -> Dict[str, str]:
    """What Linux says of the first processor in /proc/cpuinfo: 'model name', 'flags' and more.
    Empty on other systems."""
    first = (_read('/proc/cpuinfo') or '').partition('\n\n')[0]
    fields = (line.partition(':') for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def workers() -> int:
    """The number of workers of the job that this process belongs to, 1 without a launcher.

    The tasks of Slurm's ``srun`` may be separate jobs, so each of them counts as one worker.
    """
    name = size_variable()
    return _number(name) if name else 1


def size_variable() -> Optional[str]:
    """The environment variable that :func:`workers` follows, None without a launcher."""
    names = (*_SIZES, 'PMI_SIZE') if _number('MPI_LOCALNRANKS') else _SIZES
    return next(filter(_number, names), None)


def is_one_of_several() -> bool:
    """Whether a launcher, ``srun`` among them, has started this process beside others.

    Not so in a shell of ``srun --pty`` or ``salloc``, or in a batch script without ``srun``,
    however many tasks were asked for.
    """
    if any(map(_number, _SIZES)) or 'SLURM_PTY_PORT' in os.environ:
        return workers() > 1
    return any(_number(name) > 1 for name in _TASKS) or any(map(_number, _RANKS))


def _number(name: str) -> int:
    """The whole number in a variable; 0 if there is none."""
    text = os.environ.get(name, '')
    return int(text) if text.isdecimal() else 0


def _launcher(name: str) -> int:
    """The process that started this one with the variable ``name``: the next around it without."""
    process = os.getppid()
    while process and f'\0{name}=' in '\0' + (_read(f'/proc/{process}/environ') or ''):
        found = re.search(r'^PPid:\s*(\d+)', _read(f'/proc/{process}/status') or '', re.MULTILINE)
        process = int(found.group(1)) if found else 0
    return process


def _quota(process: Union[int, str]) -> float:
    """The processor time per second that the control groups around a process may take."""
    quotas = [float('inf')]
    for folder in _control_groups('cpu', process):
        quota, period = ((_read(f'{folder}/cpu.max') or '').split()
                         or [_read(f'{folder}/cpu.cfs_quota_us'),       # cgroup v1
                             _read(f'{folder}/cpu.cfs_period_us')])
        with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):     # 'max', no file
            if int(quota) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas)


def _control_groups(controller: str, process: Union[int, str]) -> Iterator[str]:
    """The folders of a process's control group and of those around it (cgroups(7)).

    In a container the path may be the host's; then only the outermost of them exists there.
    """
    for line in (_read(f'/proc/{process}/cgroup') or '').splitlines():
        _, controllers, path = line.split(':', 2)
        if not controllers or controller in controllers.split(','):
            root = _CGROUPS + (f'/{controller}' if controllers else '')
            while path != '/':
                yield root + path
                path = os.path.dirname(path)
            yield root


def _read(path: str) -> Optional[str]:
    """The text of a file without space at its ends; None if it cannot be read."""
    try:
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read().strip()
    except OSError:
        return None
