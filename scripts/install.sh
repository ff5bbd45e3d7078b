#!/usr/bin/env bash
# Makes the virtual environment and installs requirements.txt into it. Called by the Makefile; needs nothing but bash.
# The second call does nothing. Every missing thing ends in one sentence that says what to do.
#   usage: scripts/install.sh FOLDER      (PYTHON=… chooses the interpreter)
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
venv=${1:-.venv}
log=_build/pip.log
stamp=$venv/.installed

stop() { printf 'make: %s\n' "$*" >&2; exit 1; }

wanted=$(cat requirements.txt constraints.txt pyproject.toml scripts/install.sh | cksum)
[ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

# An environment somebody else made and filled (VENV=…) is used as it is.
if [ "$venv" != .venv ] && [ ! -f "$stamp" ] && [ -x "$venv/bin/python" ] \
   && "$venv/bin/python" -c 'from importlib.util import find_spec as f
import sys
sys.exit(not all(map(f, "torch torchvision jupyter_book math_core sphinxext sphinx_sitemap notfound resvg_py pybtex papermill nbval onnx pytest xdist hypothesis playwright ruff mypy ipywidgets safetensors pypi_simple".split())))' 2>/dev/null
then
  exit 0
fi

# --- 1. What has to be there first -----------------------------------------------------------------------------------
command -v git >/dev/null || stop "git was not found: install it (Debian and Ubuntu: sudo apt-get install git) and try again."

fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
python= ; seen= ; without_venv=
for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
  command -v "$candidate" >/dev/null || continue
  seen="$seen $("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
  "$candidate" -c "$fits" 2>/dev/null || continue
  if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then python=$candidate; break; fi
  without_venv=${without_venv:-$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
done
if [ -z "$python" ]; then
  [ -z "$without_venv" ] || stop "Python $without_venv has no venv module: install it (Debian and Ubuntu: sudo apt-get install python$without_venv-venv) and try again."
  [ -z "${PYTHON:-}" ] || stop "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 ($( [ -n "$seen" ] && echo "it is version$seen" || echo "it was not found" )); name another one."
  stop "Python 3.11, 3.12 or 3.13 is needed, and this machine has $( [ -n "$seen" ] && echo "only$seen" || echo none ): install one, or name it with make PYTHON=/path/to/python3.12."
fi

folder=$(dirname "$venv")
free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print int($4 / 1000000) }')
need=8
[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import torch' 2>/dev/null && need=1     # only an update
[ -z "$free" ] || [ "$free" -ge "$need" ] \
  || stop "the installation takes about 6 GB and needs $need GB of free disk while it runs, and $(cd "$folder" && pwd) has $free GB: free some, or put the environment elsewhere with make VENV=/other/disk/venv."

# --- 2. The environment ----------------------------------------------------------------------------------------------
mkdir -p _build || stop "the folder _build cannot be written here."
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
  echo "Making $venv with $("$python" --version) …"
  "$python" -m venv --clear "$venv" >"$log" 2>&1 || stop "the environment $venv could not be made: $(tail -n 1 "$log")"
fi

# --- 3. The packages -------------------------------------------------------------------------------------------------
# pip unpacks 3 GB of downloads in TMPDIR; /tmp is often memory, so the disk that was just checked is used instead.
echo "Installing requirements.txt (about 6 GB, a few minutes the first time; details in $log) …"
rm -f "$stamp"
mkdir -p _build/tmp
keep=; [ -n "$free" ] && [ "$free" -lt 12 ] && keep=--no-cache-dir
TMPDIR=$PWD/_build/tmp "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off $keep \
  --requirement requirements.txt --constraint constraints.txt >"$log" 2>&1
rc=$?
rm -rf _build/tmp
if [ $rc -ne 0 ]; then
  if grep -qiE 'no space left' "$log"; then
    stop "the disk ran full during the installation: free about 8 GB and try again (what was downloaded is used again)."
  elif grep -qiE 'connection (broken|refused|reset|error)|NewConnectionError|NameResolution|name resolution|Max retries|timed out|Network is unreachable|ProxyError|SSLError|from versions: none' "$log"; then
    stop "the Python package index was not reached: check the network, a proxy (HTTPS_PROXY) or the index that pip is set to (pip config list), and try again; the whole story is in $log."
  fi
  tail -n 5 "$log" >&2
  stop "pip could not install requirements.txt; its last lines stand above, the whole story is in $log."
fi
# a notebook imports torch before course_lib, which would set this for its threads (see course_lib/__init__.py)
"$venv/bin/python" -m ipykernel install --sys-prefix --env OMP_WAIT_POLICY PASSIVE >>"$log" 2>&1 || stop "the notebook kernel could not be registered: $(tail -n 1 "$log")"
printf '%s\n' "$wanted" > "$stamp"
