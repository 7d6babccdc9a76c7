#!/usr/bin/env bash
# Build Horovod 0.28.1 for the MXNet in the active Python environment (about 2 minutes).
#
#   bash scripts/install_horovod.sh
#
# Needs a C++ compiler, cmake, and an MPI with its headers for mpirun
# (Debian and Ubuntu: apt-get install g++ cmake libopenmpi-dev openmpi-bin).
# Without MPI, HOROVOD_WITHOUT_MPI=1 builds for `horovodrun --gloo` alone.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python}

# What the build needs, before it fails in the middle: one line for each that is missing.
missing=0
need() {    # need WHAT CURE COMMAND...: one of the commands
  local what=$1 cure=$2 command
  shift 2
  for command in "$@"; do
    if command -v "$command" > /dev/null; then return; fi
  done
  echo "install_horovod.sh: error: no $what; $cure" >&2
  missing=1
}
need 'cmake' 'pip install cmake, or apt-get install cmake' cmake
need 'C++ compiler' 'apt-get install g++' "${CXX:-g++}" c++ clang++
[ -n "${HOROVOD_WITHOUT_MPI:-}" ] || need 'MPI with its headers (mpicxx)' \
  'apt-get install libopenmpi-dev openmpi-bin; or set HOROVOD_WITHOUT_MPI=1 to do without' mpicxx
need 'Python' 'name one that has MXNet: PYTHON=/path/to/python' "$python"
[ "$missing" = 0 ] || exit 1

# Horovod's build imports MXNet, and MXNet needs the numpy aliases that `import bert` brings back.
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
echo 'import bert' > "$site/sitecustomize.py"

"$python" -m pip install 'setuptools<70' 'wheel<0.46'     # later ones are to lose bdist_wheel
export CMAKE_POLICY_VERSION_MINIMUM=3.10    # Horovod's Gloo asks for 2.8, which CMake 4 refuses
[ -n "${HOROVOD_WITHOUT_MPI:-}" ] || export HOROVOD_WITH_MPI=1
HOROVOD_WITH_MXNET=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 \
  PYTHONPATH="$site:$root" "$python" -m pip install --no-build-isolation \
  horovod==0.28.1 cloudpickle psutil pyyaml packaging cffi

# horovodrun imports MXNet too, to see what Horovod was built with: give its launcher the aliases.
aliases='import numpy; [setattr(numpy, t.__name__, t) for t in (bool, int, float, complex, object, str) if t.__name__ not in vars(numpy)]  # for MXNet 1.9'
launcher=$("$python" -c 'import sysconfig; print(sysconfig.get_path("scripts"))')/horovodrun
# Before its first import: where the interpreter's path is long, the first lines are the shell's.
grep -q 'for MXNet 1.9' "$launcher" || sed -i "0,/^import /{/^import /i $aliases
}" "$launcher"
PYTHONPATH="$root" "$python" -c 'import bert, horovod.mxnet as hvd; print("Horovod is ready: MPI %s, Gloo %s" % (
    "yes" if hvd.mpi_built() else "no", "yes" if hvd.gloo_built() else "no"))'
