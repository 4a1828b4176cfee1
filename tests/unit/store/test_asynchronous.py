"""SQLAlchemy's engine without its ORM, which is there all the same for whoever asks."""

import subprocess
import sys

ENGINE = """
import sys
from novakit.store.sqlite.asynchronous import AsyncEngine
assert "sqlalchemy.orm" not in sys.modules
"""


def run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_rest_of_the_package_is_there_once_somebody_asks_for_it() -> None:
    run(
        ENGINE + "from sqlalchemy.ext.asyncio import AsyncEngine as same, AsyncSession\n"
        "assert same is AsyncEngine and 'sqlalchemy.orm' in sys.modules\n"
        "import sqlalchemy.ext.asyncio as package\n"
        "assert package.async_sessionmaker and not hasattr(package, 'no_such_name')\n"
    )


def test_a_module_of_the_package_can_be_imported_first() -> None:
    run(ENGINE + "from sqlalchemy.ext.asyncio.session import AsyncSession; assert AsyncSession.commit\n")


def test_a_package_that_is_there_already_is_left_alone() -> None:
    run(
        "from sqlalchemy.ext.asyncio import AsyncEngine as first, AsyncSession\n"
        "from novakit.store.sqlite.asynchronous import AsyncEngine\n"
        "assert AsyncEngine is first\n"
    )


def test_its_name_can_be_written_out() -> None:
    run(
        ENGINE + "import sqlalchemy.ext.asyncio\n"
        "assert sqlalchemy.ext.asyncio.AsyncEngine is AsyncEngine\n"
        "assert sqlalchemy.ext.asyncio.AsyncSession.commit\n"
    )


def test_several_threads_may_ask_for_the_rest_at_once() -> None:
    run(
        ENGINE + "import sqlalchemy.ext.asyncio as package, threading\n"
        "got, together = [], threading.Barrier(8)\n"
        "def ask():\n"
        "    together.wait()\n"
        "    got.append(package.AsyncSession.commit)\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "for each in threads: each.start()\n"
        "for each in threads: each.join()\n"
        "assert len(got) == 8, got\n"
    )
