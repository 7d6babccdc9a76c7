"""The processors that this process may use: by affinity, control group and share of a host."""
import contextlib
import os
from typing import Collection, Iterator, Optional, Set

__all__ = ['available', 'share']

_CGROUPS = '/sys/fs/cgroup'


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
    return max(1, int(min(len(os.sched_getaffinity(0)), _quota())))


def share() -> int:
    """The number of cores for this process: its share if mpirun or horovodrun started several."""
    workers = int(os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE')
                  or os.environ.get('HOROVOD_LOCAL_SIZE') or 1)
    host = _cpuset() or range(os.cpu_count() or 1)
    return max(1, int(min(_cores(os.sched_getaffinity(0)), _cores(host) // workers,
                          _quota() / workers)))


def _quota() -> float:
    """The processor time per second that the control groups around this process may take."""
    quotas = [float('inf')]
    for folder in _control_groups('cpu'):
        quota, period = ((_read(f'{folder}/cpu.max') or '').split()
                         or [_read(f'{folder}/cpu.cfs_quota_us'),       # cgroup v1
                             _read(f'{folder}/cpu.cfs_period_us')])
        with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):     # 'max', no file
            if int(quota) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas)


def _cpuset() -> Optional[Set[int]]:
    """The processors that the control groups around this process may use, if they say so."""
    for folder in _control_groups('cpuset'):
        text = (_read(f'{folder}/cpuset.cpus.effective')
                or _read(f'{folder}/cpuset.effective_cpus'))            # cgroup v1
        with contextlib.suppress(ValueError):
            if text:
                parts = [part.partition('-') for part in text.split(',')]
                return {number for first, _, last in parts
                        for number in range(int(first), int(last or first) + 1)}
    return None


def _control_groups(controller: str) -> Iterator[str]:
    """The folders of this process's control group and of those around it (cgroups(7)).

    In a container the path may be the host's; then only the outermost of them exists there.
    """
    for line in (_read('/proc/self/cgroup') or '').splitlines():
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
        with open(path, encoding='utf-8') as f:
            return f.read().strip()
    except OSError:
        return None
