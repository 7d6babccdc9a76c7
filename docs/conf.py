"""Sphinx: python -m sphinx -W -b html docs docs/_build"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import bert  # noqa: E402  (the numpy aliases, before autodoc imports MXNet)

project = 'gluon-bert'
author = 'the gluon-bert authors'
version = release = bert.__version__
extensions = ['sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = ['_build']
html_theme = 'alabaster'
html_theme_options = {'description': 'BERT on MXNet Gluon', 'page_width': '70rem'}
napoleon_google_docstring = False
suppress_warnings = ['ref.python']    # short names in types may mean several attributes
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True}     # those in __all__


def module_name(path):
    """bert/model/__init__.py -> bert.model"""
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def add_modules(app, docname, source):
    """Append every module of bert/ to the page "api", by package, so that none is forgotten."""
    if docname != 'api':
        return
    paths = sorted(ROOT.glob('bert/**/*.py'), key=lambda path: (path.parent, path.name))
    for name in map(module_name, paths):
        underline = '=-~^'[name.count('.')] * len(name)
        source[0] += f'\n{name}\n{underline}\n\n.. automodule:: {name}\n' if name != 'bert' else ''


def setup(app):
    """Called by Sphinx."""
    app.connect('source-read', add_modules)
