"""The documentation: its commands work, its paths exist, and Sphinx builds it without a warning.

Blocks of the type ``console`` are run, and their output is compared with what is shown.  Those of
the type ``bash`` need downloads, GPUs, several hosts or much time: they are parsed.
"""
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from unit.test_layout import ARROWS

ROOT = Path(ROOT)
PAGES = {path.name: path.read_text(encoding='utf-8') for path in [
    ROOT / 'README.rst', ROOT / 'CONTRIBUTING.rst', *sorted((ROOT / 'docs').glob('*.rst'))]}
BLOCK = re.compile(r'^\.\. code-block:: *(\w+)\n\n((?:    .*\n|\n)+)', re.M)
# what is not ours in commands that are parsed; behind a launcher something of ours is
OTHERS = {'pip', 'bash', 'ruff', 'unzip', 'cat', 'sed', 'awk', 'for', 'do', 'done'}
LAUNCHERS = {'mpirun', 'horovodrun', 'srun'}
DECIMAL = re.compile(r'-?\d+\.\d*(?:e[-+]?\d+)?|\d+:\d\d:\d\d|\[\.\.\.\]')


def blocks(page, kind):
    """The blocks of a type on a page, without their indentation."""
    return [re.sub('^    ', '', text, flags=re.M).strip('\n')
            for found, text in BLOCK.findall(PAGES[page]) if found == kind]


def sessions(page):
    """[(command, shown output)] of a page's console blocks, in order."""
    found = []
    for block in blocks(page, 'console'):
        for part in re.split(r'^\$ ', block, flags=re.M)[1:]:
            command, shown = re.fullmatch(r'((?:.*\\\n)*.*)\n?((?:.*\n?)*)', part).groups()
            found.append((command, shown))
    if page == 'README.rst':        # CI runs it as a whole, with its pip install
        first = re.search(r'^\.\. first command$.*?^    pip install \S+ && (.*?)$', PAGES[page],
                          re.M | re.S).group(1)
        found.append((first, blocks(page, 'text')[0]))
    return found


def plain(text):
    """Without what differs in white space, which numpy puts before a comma, too."""
    return '\n'.join(' '.join(line.split()).replace(' ,', ',') for line in text.splitlines())


def check_output(shown, output):
    """Assert that ``output`` is what is shown, but for times, speeds, losses and ``[...]``."""
    pattern, scores = '', []
    for line in plain(shown).split('\n'):
        if line == '[...]':
            pattern += r'(?:.*\n)*?'
            continue
        is_score = re.search('accuracy|overall|exact', line) and 'loss' not in line
        position = 0
        for match in DECIMAL.finditer(line):
            pattern += re.escape(line[position:match.start()])
            position = match.end()
            if match.group() == '[...]':
                pattern += '.*'
            elif is_score:
                pattern += r'(\d+\.\d+)'
                # the tagger has little data: rounding changes what it learns
                scores.append((float(match.group()), 0.15 if 'overall' in line else 0.1))
            else:
                pattern += r'[-+.:e\d]+'
        pattern += re.escape(line[position:]) + r'\n'
    found = re.fullmatch(pattern, plain(output) + '\n')
    assert found, f'shown:\n{shown}\n\nprinted:\n{output}'
    # CPUs round differently
    for (expected, far), score in zip(scores, map(float, found.groups())):
        assert abs(score - expected) <= far * (1 if expected <= 1 else 100), f'{expected}: {output}'


@pytest.mark.slow
@pytest.mark.parametrize('page', [page for page in PAGES if sessions(page)])
def test_sessions(page, tmp_path):
    for name in ('bert', 'scripts', 'export', 'sample_text.txt'):
        (tmp_path / name).symlink_to(ROOT / name)
    env = dict(os.environ, BERT_OFFLINE='1', PYTHONUNBUFFERED='1', PYTHONWARNINGS='ignore',
               PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ['PATH'])
    for command, shown in sessions(page):
        result = subprocess.run(['bash', '-ec', command], cwd=str(tmp_path), env=env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=600)
        assert result.returncode == 0, f'{command}\n{result.stdout}'
        check_output(shown, result.stdout)


def commands(text):
    """The simple commands of a shell script, as lists of words with the variables filled in."""
    lexer = shlex.shlex(re.sub(r'\\\n', ' ', text.replace('$(nproc)', '2')), posix=True,
                        punctuation_chars=';|&<>\n')
    lexer.whitespace, lexer.whitespace_split = ' \t', True
    variables, found, redirected = {}, [[]], False
    for word in lexer:
        if set(word) <= set(';|&\n'):
            found.append([])
        elif set(word) <= set('<>'):
            redirected = True
        elif redirected:
            redirected = False
        elif not found[-1] and re.match(r'\w+=', word):
            name, value = word.split('=', 1)
            variables['$' + name] = shlex.split(value)
        else:
            found[-1] += variables.get(word, [word])
    return [words for words in found if words]


def check_command(words):
    """Assert that the parser of the program accepts its flags, or that it is not ours."""
    if words[0] in LAUNCHERS:
        words = words[words.index('python'):]
    if words[0] != 'python':
        assert words[0] in OTHERS, f'{words[0]} is no program that the documentation may name'
    elif words[1] != '-m':
        assert (ROOT / words[1]).is_file(), words[1]
        args = importlib.import_module(words[1][:-3].replace('/', '.')).parse_args(words[2:])
        if words[1] == 'scripts/launch.py':
            check_command(args.command)


@pytest.mark.parametrize('page', [page for page in PAGES if blocks(page, 'bash')])
def test_commands_are_accepted(page, tmp_path, monkeypatch, capsys):
    (tmp_path / 'peer' / 'bin').mkdir(parents=True)
    (tmp_path / 'peer' / 'bin' / 'python').symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, 'bash'):
        subprocess.run(['bash', '-n', '-c', block], check=True)
        for words in commands(block):
            try:
                check_command(words)
            except SystemExit:
                pytest.fail(f"{' '.join(words)}\n{capsys.readouterr().err}")


@pytest.mark.parametrize('page', PAGES)
def test_every_block_has_a_type(page):
    assert {kind for kind, _ in BLOCK.findall(PAGES[page])} <= {'console', 'bash', 'text', 'python'}
    assert len(re.findall(r'^ *\.\. code-block::', PAGES[page], re.M)) == len(
        BLOCK.findall(PAGES[page]))
    assert not re.search(r'^(?!\.\. ).*::$', PAGES[page], re.M), 'a block without a type'


@pytest.mark.parametrize('page', PAGES)
def test_paths_exist(page):
    named = set(re.findall(r'``((?:bert|scripts|export|tests|docs|\.ci)/[\w./-]*)``', PAGES[page])
                + re.findall(r'<(docs/\w+\.rst|\w+\.rst)>', PAGES[page])
                + re.findall(r'^\.\. _\w+: (docs/.*)', PAGES[page], re.M))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_readme_shows_every_package():
    packages = {path.parent.name for path in ROOT.glob('bert/*/__init__.py')}
    tree = blocks('README.rst', 'text')[1]
    assert packages <= set(re.findall(r'^ +(\w+)/', tree, re.M))


def test_the_table_of_packages_is_the_one_that_is_enforced():
    table = re.search(r'^(=+  =+  =+)\npackage .*\n\1\n(.*?)\n\1$', PAGES['architecture.rst'],
                      re.M | re.S)
    last, shown = table.group(1).rindex(' ='), {}
    for line in table.group(2).splitlines():
        if not line.startswith(' '):
            package = line.split()[0].strip('`')
        allowed = re.findall(r'\w+', line[last:].replace('nothing', ''))
        shown.setdefault(package, set()).update(allowed)
    assert shown == ARROWS


def test_output_is_compared():
    shown = ('a\n[...]\nepoch 1: loss 0.5, 3.2 s, 0:00:01 left\n'
             'test: accuracy 0.84, 2 texts\nend [...]')
    check_output(shown, 'a\nb\nc\nepoch 1: loss 7.1e-4, 10.0 s, 0:10:01 left\n'
                        'test: accuracy 0.79, 2 texts\nend of it\n')
    for wrong in ('test: accuracy 0.70, 2 texts', 'test: accuracy 0.84, 3 texts', 'test: f1 0.84'):
        with pytest.raises(AssertionError):
            check_output('test: accuracy 0.84, 2 texts', wrong)


def test_commands_are_found_in_a_script():
    script = ('a="--x 1"\npip install b && python c.py $a \'*.txt\' \\\n  > out | cat\n'
              'for i in 1; do\nsed x\ndone')
    assert commands(script) == [
        ['pip', 'install', 'b'], ['python', 'c.py', '--x', '1', '*.txt'], ['cat'],
        ['for', 'i', 'in', '1'], ['do'], ['sed', 'x'], ['done']]


@pytest.mark.slow
def test_sphinx_builds_without_a_warning(tmp_path):
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html',
               str(ROOT / 'docs'), str(tmp_path)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout
