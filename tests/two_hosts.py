"""Two hosts on one machine: network namespaces with a link between them and an sshd in each."""
import contextlib
import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

HOSTS = {'hosta': '10.231.77.1', 'hostb': '10.231.77.2'}
NUMBERS = itertools.count()       # hosts of two tests may be up at the same time
TOOLS = ('ip', 'unshare', 'sshd', 'ssh', 'ssh-keygen')


def _which(tool):
    return shutil.which(tool, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')


class TwoHosts:
    """The hosts; on each of them ``ssh hosta`` or ``ssh hostb`` reaches the other.

    Entering them skips the test where there can be no namespaces.
    """

    def __init__(self, folder):
        self._folder, self._servers = Path(folder), []
        number = f'{os.getpid()}-{next(NUMBERS)}'
        self._names = {host: f'gluon-bert-{host}-{number}' for host in HOSTS}

    def command(self, host, *words):
        """The command that runs ``words`` on a host."""
        return ['ip', 'netns', 'exec', self._names[host], 'unshare', '--uts', 'sh', '-c',
                f'hostname {host}; PATH={self._folder}/bin:$PATH exec "$@"', 'sh', *words]

    def cut(self):
        """Cut the link: nothing arrives any more, and nobody is notified."""
        for host, other in zip(HOSTS, reversed(list(HOSTS.values()))):
            # to a machine that is not there
            self._ip('-n', self._names[host], 'neigh', 'replace', other, 'lladdr',
                     '02:00:00:00:00:99', 'dev', 'lan', 'nud', 'permanent')

    def _ip(self, *words):
        subprocess.run(['ip', *words], check=True, capture_output=True)

    def __enter__(self):
        missing = [tool for tool in TOOLS if not _which(tool)]
        if missing:
            pytest.skip(f"{', '.join(missing)} not installed")
        try:
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _set_up(self):
        names = list(self._names.values())
        try:
            for name in names:
                self._ip('netns', 'add', name)
        except subprocess.CalledProcessError as error:
            pytest.skip(f'network namespaces are not permitted: {error.stderr.decode().strip()}')
        for name in names:
            folder = Path('/etc/netns', name)       # stands in for /etc in this namespace
            folder.mkdir(parents=True)
            (folder / 'hosts').write_text('127.0.0.1 localhost\n' + ''.join(
                f'{address} {host}\n' for host, address in HOSTS.items()))
            self._ip('-n', name, 'link', 'set', 'lo', 'up')
        self._ip('link', 'add', 'name', 'lan', 'netns', names[0], 'type', 'veth', 'peer', 'name',
                 'lan', 'netns', names[1])
        for name, address in zip(names, HOSTS.values()):
            self._ip('-n', name, 'addr', 'add', f'{address}/24', 'dev', 'lan')
            self._ip('-n', name, 'link', 'set', 'lan', 'up')
        for kind in 'host', 'user':
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f',
                            str(self._folder / kind)], check=True)
        keys = self._folder / 'authorized_keys'
        shutil.copy(str(self._folder / 'user.pub'), str(keys))
        os.makedirs('/run/sshd', exist_ok=True)
        (self._folder / 'sshd_config').write_text(
            f'HostKey {self._folder / "host"}\nAuthorizedKeysFile {keys}\nStrictModes no\n'
            'PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nPidFile none\n'
            'MaxStartups 100\n')
        (self._folder / 'ssh_config').write_text(
            'Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n'
            f'  BatchMode yes\n  IdentityFile {self._folder / "user"}\n')
        # for launchers that do not take options for ssh
        (self._folder / 'bin').mkdir()
        (self._folder / 'bin' / 'ssh').write_text(
            f'#!/bin/sh\nexec {_which("ssh")} -F {self._folder}/ssh_config "$@"\n')
        (self._folder / 'bin' / 'ssh').chmod(0o755)
        for host in HOSTS:
            self._servers.append(subprocess.Popen(self.command(
                host, _which('sshd'), '-D', '-f', str(self._folder / 'sshd_config'))))
        for host in HOSTS:
            self._wait_for(host)

    def _wait_for(self, host):
        limit = time.time() + 20
        while subprocess.run(self.command(host, 'ssh', host, 'true'),
                             capture_output=True).returncode:
            if time.time() > limit:
                raise RuntimeError(f'no sshd on {host}')
            time.sleep(0.2)

    def __exit__(self, *error):
        for server in self._servers:
            server.kill()
            server.wait()
        for name in self._names.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                pids = subprocess.run(['ip', 'netns', 'pids', name], capture_output=True,
                                      text=True).stdout.split()
                for pid in map(int, pids):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, 9)
                self._ip('netns', 'del', name)
            shutil.rmtree(f'/etc/netns/{name}', ignore_errors=True)
