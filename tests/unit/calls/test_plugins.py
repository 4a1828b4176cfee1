"""What several processes say of their plugins becomes one list."""

import attrs

from novakit.calls.plugins import PluginRow, merged

ROW = PluginRow(
    name="acme",
    group="drivers",
    distribution="novakit-acme",
    version="1.0",
    state="active",
    offers="acme",
    off="",
    reason="",
)
OFF = attrs.evolve(ROW, state="disabled", offers="", reason="Not the driver in use.")


def test_a_plugin_that_all_say_the_same_of_is_one_row() -> None:
    other = attrs.evolve(ROW, group="filters", name="own")
    assert merged([("this process", [ROW]), ("vm1", [ROW, other]), ("vm2", [ROW])]) == [ROW, other]


def test_a_plugin_that_one_process_runs_is_active_and_the_others_are_named() -> None:
    [shown] = merged([("this process", [OFF]), ("vm1", [ROW])])
    assert shown.state == "active" and shown.offers == "acme"
    assert shown.reason == "1.0 active on vm1; 1.0 disabled on this process."


def test_versions_that_differ_are_told_with_how_many_run_them() -> None:
    new = attrs.evolve(ROW, version="1.1")
    [shown] = merged([*((f"vm{number}", [ROW]) for number in range(5)), ("vm9", [new])])
    assert shown.reason == "1.0 active on vm0, vm1, vm2 and 2 more; 1.1 active on vm9."


def test_why_the_shown_one_does_not_work_stays_to_be_read() -> None:
    broken = attrs.evolve(ROW, state="broken", reason="It cannot be imported.")
    [shown] = merged([("vm1", [broken]), ("vm2", [OFF])])
    assert shown.state == "broken"
    assert shown.reason == "1.0 broken on vm1; 1.0 disabled on vm2. It cannot be imported."
