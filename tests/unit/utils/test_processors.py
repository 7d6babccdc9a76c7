"""The processors of this process, on systems that are made of files."""
import os

import pytest

from bert.utils import processors

MPI, HOROVOD, MPICH = LOCAL_SIZES = (
    'OMPI_COMM_WORLD_LOCAL_SIZE', 'HOROVOD_LOCAL_SIZE', 'MPI_LOCALNRANKS')


@pytest.fixture
def system(monkeypatch, tmp_path):
    """system({path: text}, affinity, env, {process: affinity}): of eight processors three pairs
    share a core each; of 3 and 7 nothing is known."""
    def make(files, affinity=range(8), env=(), others=()):
        for number in (0, 1, 2, 4, 5, 6):
            files[f'/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list'] = (
                f'{number % 4},{number % 4 + 4}')
        for path, text in files.items():
            path = tmp_path / path[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{text}\n')
        monkeypatch.setattr(processors, 'open', lambda path, **keywords: (
            tmp_path / path[1:]).open(**keywords), raising=False)
        monkeypatch.setattr(os, 'getppid', lambda: 7)
        monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(
            dict(others).get(pid, range(8)) if pid else affinity))
        for name in LOCAL_SIZES:
            monkeypatch.delenv(name, raising=False)
        for name, value in env:
            monkeypatch.setenv(name, value)
    return make


@pytest.mark.parametrize('affinity, env, threads', [
    (range(8), (), 5), ([0, 4], (), 1), ([0, 1, 4], (), 2), ([3, 7], (), 2),
    (range(8), [(MPI, '2')], 2), (range(8), [(HOROVOD, '2')], 2), ([0], [(HOROVOD, '2')], 1),
    (range(8), [(HOROVOD, '1000')], 1)])
def test_the_cores_of_an_affinity(system, affinity, env, threads):
    system({}, affinity, env)
    assert processors.share() == threads
    assert processors.available() == len(affinity)


V1, V2 = '3:cpu,cpuacct:/job\n2:cpuset:/job\n0::/', '0::/user/job'


@pytest.mark.parametrize('files, available, threads', [
    ({'/proc/self/cgroup': V2, '/sys/fs/cgroup/user/job/cpu.max': '200000 100000'}, 2, 2),
    ({'/proc/self/cgroup': V2, '/sys/fs/cgroup/user/cpu.max': '250000 100000'}, 2, 2),
    ({'/proc/self/cgroup': V2, '/sys/fs/cgroup/user/job/cpu.max': 'max 100000'}, 8, 5),
    ({'/proc/self/cgroup': V2, '/sys/fs/cgroup/user/job/cpu.max': '50000 100000'}, 1, 1),
    # the path is the host's: docker run --cpus 3
    ({'/proc/self/cgroup': V2, '/sys/fs/cgroup/cpu.max': '300000 100000'}, 3, 3),
    ({'/proc/self/cgroup': V1, '/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us': '200000',
      '/sys/fs/cgroup/cpu/job/cpu.cfs_period_us': '100000'}, 2, 2),
    ({'/proc/self/cgroup': V1, '/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us': '-1',
      '/sys/fs/cgroup/cpu/job/cpu.cfs_period_us': '100000'}, 8, 5),
    ({'/proc/self/cgroup': V2, '/sys/fs/cgroup/user/job/cpu.max': ''}, 8, 5)])
def test_a_quota(system, files, available, threads):
    system(files)
    assert (processors.available(), processors.share()) == (available, threads)


@pytest.mark.parametrize('env', LOCAL_SIZES)
@pytest.mark.parametrize('files, affinity, launcher, threads', [
    # all of the job is limited: by taskset or a cpuset, by a quota around the launcher
    ({}, [0, 1, 4, 5], [0, 1, 4, 5], 1),
    ({'/proc/self/cgroup': V2, '/proc/7/cgroup': V2,
      '/sys/fs/cgroup/user/job/cpu.max': '200000 100000'}, range(8), range(8), 1),
    # each worker is, with two cores of its own
    ({}, [0, 1, 4, 5], range(8), 2),
    ({'/proc/self/cgroup': V2, '/proc/7/cgroup': '0::/user',
      '/sys/fs/cgroup/user/job/cpu.max': '200000 100000'}, range(8), range(8), 2),
    # with a shell between the launcher, 6, and the worker
    ({'/proc/7/environ': f'{MPI}=2\0{HOROVOD}=2\0{MPICH}=2\0',
      '/proc/7/status': 'Name: sh\nPPid:\t6\n'},
     [0, 1, 4, 5], [0, 1, 4, 5], 2),
    # the launcher is outside of the container
    ({'/proc/7/environ': f'{MPI}=2\0{HOROVOD}=2\0{MPICH}=2\0', '/proc/7/status': 'PPid:\t0\n'},
     [0, 1, 4, 5], (), 1)])
def test_two_workers(system, files, affinity, launcher, threads, env):
    system(dict(files), affinity, [(env, '2')], {7: launcher})
    assert processors.share() == threads


def test_what_the_first_processor_is(system):
    system({'/proc/cpuinfo': 'processor\t: 0\nmodel name\t: A: B\nflags\t\t: fpu  avx2\npower:\n\n'
                             'processor\t: 1\nmodel name\t: C\n'})
    assert processors.describe() == {
        'processor': '0', 'model name': 'A: B', 'flags': 'fpu  avx2', 'power': ''}


def test_a_system_that_does_not_describe_its_processors(system):
    system({})
    assert processors.describe() == {}


LAUNCHED = ('DMLC_NUM_WORKER', 'OMPI_COMM_WORLD_SIZE', 'HOROVOD_SIZE', 'PMI_SIZE', 'PMI_RANK',
            'PMIX_RANK', 'MPI_LOCALNRANKS', 'SLURM_STEP_NUM_TASKS', 'SLURM_PTY_PORT')


@pytest.mark.parametrize('env, workers, several', [
    ({}, 1, False), ({'OMPI_COMM_WORLD_SIZE': '1'}, 1, False),
    ({'OMPI_COMM_WORLD_SIZE': ''}, 1, False), ({'OMPI_COMM_WORLD_SIZE': '2'}, 2, True),
    ({'HOROVOD_SIZE': '3'}, 3, True), ({'DMLC_NUM_WORKER': '2'}, 2, True),
    ({'PMI_SIZE': '2', 'PMI_RANK': '0', 'MPI_LOCALNRANKS': '2'}, 2, True),
    ({'PMI_RANK': 'x'}, 1, False), ({'PMI_RANK': '2'}, 1, True), ({'PMIX_RANK': '1'}, 1, True),
    ({'PMIX_RANK': '0'}, 1, False),
    # Slurm: a batch script, one task, several, which may be separate jobs
    ({'SLURM_NTASKS': '4', 'SLURM_PROCID': '0'}, 1, False),
    ({'SLURM_STEP_NUM_TASKS': '1'}, 1, False),
    ({'SLURM_STEP_NUM_TASKS': '4', 'PMIX_RANK': '0'}, 1, True),
    ({'SLURM_STEP_NUM_TASKS': '4', 'PMI_SIZE': '4'}, 1, True),
    # a shell for four tasks, in which mpirun may start two
    ({'SLURM_STEP_NUM_TASKS': '4', 'PMI_SIZE': '4', 'SLURM_PTY_PORT': '9'}, 1, False),
    ({'SLURM_STEP_NUM_TASKS': '4', 'PMI_SIZE': '2', 'MPI_LOCALNRANKS': '2',
      'SLURM_PTY_PORT': '9'}, 2, True),
    ({'SLURM_STEP_NUM_TASKS': '4', 'OMPI_COMM_WORLD_SIZE': '2', 'SLURM_PTY_PORT': '9'}, 2, True),
    # mpirun starts a process on each of four hosts by srun, and these start the workers
    ({'SLURM_STEP_NUM_TASKS': '4', 'OMPI_COMM_WORLD_SIZE': '8', 'PMIX_RANK': '5'}, 8, True),
    ({'SLURM_STEP_NUM_TASKS': '4', 'OMPI_COMM_WORLD_SIZE': '1'}, 1, False)])
def test_the_workers_of_a_launcher(monkeypatch, env, workers, several):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert (processors.workers(), processors.is_one_of_several()) == (workers, several)
