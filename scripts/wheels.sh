#!/bin/sh
# Build every distribution of this repository, wheel and sdist, into a folder: scripts/wheels.sh [FOLDER, default dist].
set -eu
cd "$(dirname "$0")/.."
mkdir -p "${1:-dist}"
out=$(cd "${1:-dist}" && pwd)
rm -f "$out"/novakit*.whl "$out"/novakit*.tar.gz

python=${PYTHON:-}
if [ -z "$python" ] && [ -x .venv/bin/python ]; then python=$(pwd)/.venv/bin/python; fi
if [ -z "$python" ]; then python=python3; fi

members=". hookspecs"
for project in libraries/*/pyproject.toml plugins/*/pyproject.toml plugins/*/*/pyproject.toml; do
    if [ -f "$project" ]; then members="$members $(dirname "$project")"; fi
done

if "$python" -c 'import hatchling' 2>/dev/null; then
    build() { (cd "$1" && "$python" -m hatchling build -t sdist -t wheel -d "$out" >/dev/null); }
elif command -v uv >/dev/null; then
    build() { uv build -q --out-dir "$out" "$1"; }
elif "$python" -c 'import build' 2>/dev/null; then
    build() { "$python" -m build --outdir "$out" "$1" >/dev/null; }
else
    echo "Building needs uv, or a Python with hatchling or build: python3 -m pip install hatchling" >&2
    exit 2
fi

for member in $members; do
    echo "building $member"
    build "$member"
done
