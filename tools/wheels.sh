#!/usr/bin/env bash
# Fetches the wheels that tools/gpu.sh installs on a machine without a network: tools/wheels.sh [FOLDER]
#
# For Python 3.12 on x86-64 Linux, without torch and what CUDA brings, which that machine has.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-wheels}
there='^(torch|torchvision|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+|sympy|mpmath|networkx|setuptools)=='
target=(--python-version 3.12 --implementation cp --platform manylinux2014_x86_64 --platform manylinux1_x86_64)
for number in 28 27 26 24 17; do target+=(--platform "manylinux_2_${number}_x86_64"); done
fetch=(python3 -m pip download --quiet --only-binary :all: --dest "$folder" "${target[@]}")

uv pip compile --quiet pyproject.toml --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
  --no-annotate --no-header | grep -Ev "$there" >needed.txt
trap 'rm -f needed.txt' EXIT
"${fetch[@]}" --no-deps --requirement needed.txt torchvision==0.26.0
"${fetch[@]}" hatchling editables pytest pytest-timeout pytest-xdist
du -sh "$folder"
