"""The code that how-to pages show is the code that there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"<!-- code: (\S+)(?: ([^>]+?))? -->\n```python\n(.*?)```", re.DOTALL)
PAGES = [path for path in sorted((ROOT / "docs/how-to").glob("*.md")) if SHOWN.search(path.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_that_a_page_shows_is_the_code_of_the_file_that_it_names(page: Path) -> None:
    for file, _, code in SHOWN.findall(page.read_text()):
        assert code in (ROOT / file).read_text(), f"{page.name} shows what {file} does not hold:\n{code}"


def test_there_is_such_a_page() -> None:
    assert ROOT / "docs/how-to/add-a-server-action.md" in PAGES
