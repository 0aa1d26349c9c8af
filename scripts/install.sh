#!/usr/bin/env bash
# Creates .venv and installs atacsearch into it with the versions of constraints.txt.
#
#   scripts/install.sh            what `atacsearch` needs to run
#   scripts/install.sh --dev      that, and the linters and test runner
#
# A second run does nothing, unless pyproject.toml, constraints.txt or this file has changed since.
# PYTHON names the interpreter to use. torch comes first, on its own: asked for together with the rest, pip may
# settle on a build with several GB of CUDA libraries. Without a GPU, on a machine where PyPI's torch is the CUDA
# build, point pip at PyTorch's CPU builds: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kind=run
if [ "${1:-}" = "--dev" ]; then kind=dev; fi
venv=.venv
python="$venv/bin/python"

fingerprint() { cat pyproject.toml constraints.txt scripts/install.sh | sha256sum | cut -d ' ' -f 1; }

suitable() { # an interpreter of 3.11 or later that can make an environment with pip in it
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3 python; do
        if suitable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "atacsearch needs Python 3.11 or later with its venv module, and none was found." >&2
    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: PYTHON=/path/to/python $0" >&2
    return 1
}

# Another checkout's environment, copied or moved here, still points at its old place: make a new one.
if [ -e "$venv" ] && ! "$python" -c 'import pip' >/dev/null 2>&1; then
    echo "$venv does not run: making it anew" >&2
    rm -rf "$venv"
fi
if [ ! -e "$venv" ]; then
    base="$(find_python)"
    echo "creating $venv with $base ($("$base" --version))" >&2
    "$base" -m venv "$venv"
fi

stamp="$(fingerprint)"
for done_kind in dev "$kind"; do # whatever serves development also serves a run
    if [ "$(cat "$venv/.atacsearch-$done_kind" 2>/dev/null || true)" = "$stamp" ]; then exit 0; fi
done

torch="$(grep -i '^torch==' constraints.txt)"
echo "installing into $venv (the first time takes a few minutes)" >&2
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m pip install --quiet -c constraints.txt 'pip>=25.1' # the first that knows dependency groups
"$python" -m pip install --quiet -c constraints.txt "$torch"
if [ "$kind" = dev ]; then
    "$python" -m pip install --quiet -c constraints.txt --editable . --group dev
else
    "$python" -m pip install --quiet -c constraints.txt --editable .
fi
echo "$stamp" >"$venv/.atacsearch-$kind"
