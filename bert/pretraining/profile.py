"""MXNet's profile of a few updates of a run."""
import logging
from typing import Optional

import mxnet as mx

__all__ = ['Profile']

_log = logging.getLogger(__name__)
_UPDATES = 10


class Profile:
    """Profiles ten updates and writes them to ``path``; without a path it does nothing.

    It begins ten updates after ``done``, those made before, or halfway to ``total`` if that is
    sooner.
    """

    def __init__(self, path: Optional[str], done: int, total: int):
        self._path, self._begin = path, done + min(_UPDATES, (total - done) // 2)
        self._is_running = False
        if path:
            mx.profiler.set_config(profile_all=True, aggregate_stats=True, filename=path)
        if done < total:
            self.step(done)     # where a single update is left, it begins now

    def step(self, update: int) -> None:
        """Begin or end after this update, if it is the one."""
        if self._path and update == self._begin:
            mx.profiler.set_state('run')
            self._is_running = True
        elif update == self._begin + _UPDATES:
            self.close()

    def close(self) -> None:
        """End the profile and write it."""
        if self._is_running:
            mx.nd.waitall()
            mx.profiler.set_state('stop')
            mx.profiler.dump()
            _log.debug('%s', mx.profiler.dumps())
            _log.info('profile: %s', self._path)
            self._is_running = False
