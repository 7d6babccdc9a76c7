"""What workers agree on."""
import mxnet as mx
import pytest
from workers import on_both

from bert.training.distributed import (
    Local,
    agree,
    check_same_data,
    create,
    gather,
    gpu_of_rank,
    lost_workers,
)
from bert.utils.errors import DataError


@pytest.mark.parametrize('first, second, same', [
    ((3, 2 ** 32 - 1), (3, 2 ** 32 - 1), True), ((3, 2 ** 32 - 1), (3, 2 ** 32 - 2), False),
    ((0, 0), (4, 17), False), ((4, 17), (0, 0), False)])
def test_agreement_with_worker_0(first, second, same):
    assert on_both(agree, first, second) == {0: same, 1: same}


def test_each_worker_learns_the_numbers_of_all():
    assert on_both(gather, 3, 0) == {0: [3, 0], 1: [3, 0]}
    assert gather(Local([mx.cpu()]), 2) == [2]


def test_workers_need_the_same_data():
    def message(worker, data):
        try:
            check_same_data(worker, data)
        except DataError as error:
            return str(error)
        return None
    assert on_both(message, 2 ** 32 - 1, 2 ** 32 - 1) == {0: None, 1: None}
    found = on_both(message, 1, 2)
    assert found[0] == found[1] and 'training data and the vocabulary of worker 0' in found[0]


def test_the_names_of_the_other_workers():
    comm = Local([mx.cpu()])
    assert comm.others() == 'the other workers'
    comm.rank, comm.hosts = 1, ['a', 'b', 'b']
    assert comm.others() == 'rank 0 on a, rank 2 on b'
    comm.hosts = ['a'] * 10
    assert comm.others().endswith('rank 8 on a, ...')
    assert comm.names([3, 5]) == 'rank 3 on a, rank 5 on a'
    assert Local([mx.cpu()]).names([0, 2]) == 'rank 0, rank 2'


def test_a_lost_worker_is_told_in_one_line():
    comm = Local([mx.cpu()])

    def fail():
        with lost_workers(comm, lambda: 'start again'):
            raise mx.MXNetError('Horovod has been shut down. Much more\nStack trace')
    with pytest.raises(mx.MXNetError, match='Much more'):       # of one worker it is another error
        fail()
    comm.size, comm.hosts = 2, ['a', 'b']
    with pytest.raises(mx.MXNetError, match='out of memory'), lost_workers(comm, lambda: ''):
        raise mx.MXNetError('Traceback (most recent call last):\n  cudaMalloc: out of memory')
    with pytest.raises(DataError) as caught:
        fail()
    assert str(caught.value) == ('rank 0: lost contact with rank 1 on b (Horovod has been shut '
                                 'down); start again')


def test_a_worker_alone_agrees_with_itself():
    assert agree(Local([mx.cpu()]), (3, 5))


@pytest.mark.parametrize('variables, message', [
    ({'OMPI_COMM_WORLD_SIZE': '2'}, '2 processes were started, as OMPI_COMM_WORLD_SIZE says, .* '
     'add --comm horovod, .* unset OMPI_COMM_WORLD_SIZE'),
    ({'PMI_SIZE': '4', 'MPI_LOCALNRANKS': '2'}, '4 processes were started, as PMI_SIZE says'),
    ({'DMLC_ROLE': 'worker', 'DMLC_NUM_WORKER': '3'},
     'launch.py started 3 workers, .* with mpirun and --comm horovod')])
def test_workers_that_do_not_know_each_other_are_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=message):
        create('local', [mx.cpu()])
    assert create(None, [mx.cpu()]).size == 1       # a program that only predicts


@pytest.mark.parametrize('variables', [
    {'DMLC_ROLE': 'worker', 'DMLC_NUM_WORKER': '1'},
    {'SLURM_STEP_NUM_TASKS': '4', 'PMI_SIZE': '4'}])        # may be runs of their own
def test_a_single_worker_of_a_launcher_is_alone(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert create('local', [mx.cpu()]).size == 1


@pytest.mark.parametrize('named, visible, ids', [
    ([0], 4, [0, 1, 2, 3]), ([2], 4, [2, 3]), ([3, 1], 4, [3, 1]), ([0], 1, [0]), ([5], 1, [0])])
def test_each_worker_of_a_host_has_its_own_gpu(named, visible, ids):
    gpus = [mx.gpu(number) for number in named]
    assert [gpu_of_rank(gpus, rank, visible).device_id for rank in range(len(ids))] == ids
    if visible > 1:
        with pytest.raises(DataError, match=f'no GPU for worker {len(ids)} of this host, which'):
            gpu_of_rank(gpus, len(ids), visible)


def test_a_gpu_that_the_host_lacks():
    with pytest.raises(DataError, match='no GPU for worker 1 .*which has 2'):
        gpu_of_rank([mx.gpu(0), mx.gpu(2)], 1, 2)
