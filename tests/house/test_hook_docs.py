"""Every hook has a page with the same headings, all fields of its record, and an example that is run here."""

import importlib
import pkgutil
import re
import types
import uuid
from pathlib import Path
from typing import Any

import attrs
import pytest

import novakit_hookspecs
from novakit.plughost import GROUPS, Plugin, PluginGroup, build, tell_all
from novakit.plughost.harvest import hookimpls, listenings, offers
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.observers import ServerEvent

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "hooks"
HEADINGS = [
    "Purpose",
    "Who calls it, and when",
    "What to return",
    "What happens if it fails",
    "Since",
    "Example",
]


def _hooks() -> dict[str, Any]:
    found = {}
    for module in pkgutil.iter_modules(novakit_hookspecs.__path__):
        if module.name != "testing":
            members = vars(importlib.import_module(f"novakit_hookspecs.{module.name}"))
            found.update({name: one for name, one in members.items() if hasattr(one, "novakit_spec")})
    return found


HOOKS = _hooks()


def _plugin(group: PluginGroup) -> Plugin:
    return Plugin(group=group, name="example", distribution="novakit-example", version="1.0")


def _example(hook: str) -> types.ModuleType:
    page = (PAGES / f"{hook}.md").read_text()
    [code] = re.findall(r"## Example\n.*?```python\n(.*?)```", page, re.DOTALL)
    module = types.ModuleType("example")
    exec(compile(code, f"{hook}.md", "exec"), vars(module))
    return module


def test_every_hook_is_one_that_the_plugin_host_knows() -> None:
    assert set(HOOKS) == {group.hook for group in GROUPS.values()}


def test_every_page_is_of_a_hook() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hooks_page_has_the_headings_and_its_arguments(hook: str) -> None:
    page = (PAGES / f"{hook}.md").read_text()
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == HEADINGS
    for argument in HOOKS[hook].__code__.co_varnames[: HOOKS[hook].__code__.co_argcount]:
        assert f"`{argument}`" in page
    assert HOOKS[hook].__doc__


@pytest.mark.parametrize("group", GROUPS.values(), ids=lambda group: group.name)
def test_a_hooks_page_tells_of_each_field_of_its_record(group: PluginGroup) -> None:
    page = (PAGES / f"{group.hook}.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    record: Any = group.record or ServerEvent
    assert documented == {field.name for field in attrs.fields(record)}
    assert f"API {group.api}" in page


@pytest.mark.parametrize("group", [one for one in GROUPS.values() if one.record], ids=lambda group: group.name)
def test_a_registering_hooks_example_loads_and_builds(group: PluginGroup, tmp_path: Path) -> None:
    plugin = _plugin(group)
    [offer] = offers(plugin, hookimpls(plugin, _example(group.hook)))
    node_side = group.role == "agent"
    assert build(offer, {}, HostContext(host="here", state_dir=str(tmp_path)) if node_side else None)


async def test_the_observers_example_hears() -> None:
    plugin, module = _plugin(GROUPS["observers"]), _example("novakit_on_server")
    event = ServerEvent(server_id=str(uuid.uuid4()), project_id="p", event="create.end", status="ACTIVE")
    assert await tell_all(listenings(plugin, hookimpls(plugin, module)), event=event) == 0
    assert module.seen == [f"{event.server_id} is ACTIVE"]
