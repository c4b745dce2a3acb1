#!/usr/bin/env bash
# Installs the lowest versions that pyproject.toml allows and runs the core's tests with them.
#
#   tools/lowest.sh [pytest's arguments; default: the folders of the core]
set -euo pipefail
cd "$(dirname "$0")/.."

environment=${LOWEST_VENV:-.ci/lowest}
uv venv --quiet --clear "$environment"
uv pip install --quiet --no-config --python "$environment" --resolution lowest-direct \
  --editable '.[export,hf,sahi,serve,supervision,video]' --group dev
[ $# -gt 0 ] || set -- tests/boxes tests/heads tests/nn tests/pyramids tests/recipes tests/selfrec tests/support \
  tests/gpu tests/engine/test_fit.py
"$environment/bin/python" -m pytest -p no:cacheprovider "$@"
