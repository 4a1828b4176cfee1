#!/usr/bin/env bash
# Lint, type-check and run every test; what is skipped is listed with its reason at the end.
# With arguments, only pytest runs, with these arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
export NOVAKIT_TEST_CACHE=${NOVAKIT_TEST_CACHE:-$PWD/.cache/tests}
mkdir -p "$NOVAKIT_TEST_CACHE"
# Containers often forbid Python to write bytecode; each process of a test would then compile its modules again.
unset PYTHONDONTWRITEBYTECODE
if [ $# -gt 0 ]; then exec .venv/bin/python -m pytest "$@"; fi
echo "[test] format, lint, types; meanwhile the guest image that the host tests boot, and the tests' own bytecode" >&2
.venv/bin/ruff format --check -q .
.venv/bin/ruff check -q .
beside=$NOVAKIT_TEST_CACHE/beside.log
# Each worker below reads every file of tests, and rewrites its assertions unless that was done before: 7 s of CPU each.
(
  .venv/bin/novakit image build-micro --out "$NOVAKIT_TEST_CACHE/micro.qcow2" --cache "$NOVAKIT_TEST_CACHE/packages"
  .venv/bin/python -m pytest -q --collect-only
) >"$beside" 2>&1 &
types=0
.venv/bin/mypy || types=$?
wait $! || {
  tail -50 "$beside" >&2
  exit 1
}
[ "$types" = 0 ]
# One more than two cores carry out: tests of services wait for much of their time. tests/support/order.py orders them.
echo "[test] every test, three files at a time" >&2
exec .venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=40
