#!/usr/bin/env bash
# The check on a GPU, on a bare Linux machine without a network: tests and benchmark in one JSON, in 8 minutes.
#
#   tools/gpu.sh [--device cuda|cpu] [--quick] [--no-install] [--wheels FOLDER] [--output FOLDER]
#
# The machine has Python 3.12 and torch 2.11 for CUDA; all else comes as wheels (tools/wheels.sh fetches them).
# The result is FOLDER/gpu.json (default: $OUT, else gpu-result). Every part has a limit, so that it always comes.
# With --no-install, or without a folder of wheels, the Python at hand is taken as it is ($PYTHON, else python3).
set -uo pipefail
cd "$(dirname "$0")/.."

device=cuda quick='' install=yes wheels=wheels output=${OUT:-gpu-result} python=${PYTHON:-python3}
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=$2; shift ;;
    --quick) quick=--quick ;;
    --no-install) install='' ;;
    --wheels) wheels=$2; shift ;;
    --output) output=$2; shift ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$output"
rm -f "$output"/{tests.xml,benchmark.json,gpu.json}
start=$SECONDS

if [ -n "$install" ] && [ -d "$wheels" ]; then
  environment=$(mktemp -d)
  "$python" -m venv --system-site-packages "$environment" || exit 1
  # A Python that is an environment itself hides its packages from an environment made with it.
  "$python" -c 'import sys; print(*(path for path in sys.path if path.endswith("-packages")), sep="\n")' \
    >"$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/machine.pth"
  python=$environment/bin/python
  install=("$python" -m pip install --quiet --no-index --find-links "$wheels" --no-build-isolation)
  timeout 45 "${install[@]}" hatchling editables pytest pytest-timeout pytest-xdist || exit 1
  timeout 75 "${install[@]}" --editable . || exit 1
fi

if [ "$device" = cuda ]; then
  marked=gpu workers=4 seconds=130 minutes=2.5 longest=185 each=60
else
  marked=device workers=2 seconds=1200 minutes=1.5 longest=600 each=300  # no hurry here
fi
timeout --kill-after 5 $((seconds + 20)) "$python" -m pytest tests/gpu tests/engine -m "$marked and not slow" \
  -n $workers --timeout $each --session-timeout $seconds --junit-xml "$output/tests.xml"
timeout --kill-after 5 $longest "$python" benchmarks/gpu.py --device "$device" $quick --minutes $minutes \
  --output "$output/benchmark.json"
"$python" tools/gpu_result.py "$output" --seconds $((SECONDS - start))
