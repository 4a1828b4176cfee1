"""The suites catch what they are made to catch: each wrong plugin fails the tests meant for it."""

import importlib.util
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

BROKEN = sorted(Path(__file__).with_name("broken").glob("*.py"))


def _meant(path: Path) -> dict[str, frozenset[str]]:
    specification = importlib.util.spec_from_file_location(f"broken_{path.stem}", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return {name: suite.caught_by for name, suite in vars(module).items() if name.startswith("Test")}


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_each_wrong_plugin_is_caught_by_the_tests_meant_for_it(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'run'}"], capture_output=True, text=True, timeout=300, check=False
    )
    caught: defaultdict[str, set[str]] = defaultdict(set)
    for suite, test in re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)::(\w+)", done.stdout, re.MULTILINE):
        caught[suite].add(test)
    for suite, meant in _meant(path).items():
        if meant:
            assert meant <= caught[suite], f"{suite} slipped through {sorted(meant - caught[suite])}\n{done.stdout}"
        else:
            assert not caught[suite], f"{suite} is right and was caught by {sorted(caught[suite])}"
