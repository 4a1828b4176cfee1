"""Which filters and weighers are used, and what stops the start."""

import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from novakit import errors
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit_filters import novakit_filters
from novakit_hookspecs.scheduling import FilterSpec
from novakit_hookspecs.testing.asks import ask
from tests.support.patience import PATIENT
from tests.unit.scheduler.pipelines import VENDOR, alive, composed, run, table_of


def chosen(made: Composed) -> list[str]:
    """Name the filters in force, without those that are always."""
    return [step.name for step in made.pipeline.filters if not step.spec.always]


async def test_a_configured_list_keeps_what_users_are_promised() -> None:
    table = table_of([4096, 4096])
    outcome = await run(table, filters=["ram"], request=ask(excluded_hosts={"host0"}))
    assert alive(table, outcome) == ["host1"]
    assert alive(table, await run(table, filters=["ram"], request=ask(required_traits={"CUSTOM_X"}))) == []


def test_old_names_work_and_the_warning_says_what_to_write() -> None:
    made = composed(
        HostTable(),
        filters=["RamFilter", "AggregateInstanceExtraSpecFilter", "nova.scheduler.filters.CoreFilter", "ram"],
        weighers=["RAMWeigher"],
    )
    assert chosen(made) == ["ram", "aggregate_instance_extra_specs", "core"]
    assert "[scheduler] filters names RamFilter; write ram instead" in made.warnings
    assert "[scheduler] filters names ram twice; once is enough" in made.warnings
    assert "[scheduler] weighers names RAMWeigher; write ram instead" in made.warnings


def test_a_misspelt_name_stops_the_start_and_lists_what_there_is() -> None:
    with pytest.raises(
        errors.ConfigError, match=r"rams, which no installed plugin offers; did it mean ram\? There are .*compute"
    ):
        composed(HostTable(), filters=["rams"])


def test_single_ones_are_switched_on_and_off_beside_the_list() -> None:
    switches = {"tenant_aggregate": {"enabled": True, "required": True}, "disk": {"enabled": False}}
    for listed in (None, ["ram", "disk"]):
        names = chosen(composed(HostTable(), filters=listed, filter_options=switches))
        assert "tenant_aggregate" in names and "ram" in names and "disk" not in names
    with pytest.raises(errors.ConfigError, match=r"\[filters.traits\] enabled is false, .*: leave enabled out"):
        composed(HostTable(), filter_options={"traits": {"enabled": False}})
    with pytest.raises(errors.ConfigError, match=r"\[weighers.ram\] multiplier takes a number, not 'high'"):
        composed(HostTable(), weigher_options={"ram": {"multiplier": "high"}})


def test_what_is_switched_on_and_not_there_stops_the_start() -> None:
    with pytest.raises(errors.ConfigError, match=r"\[filters.tenent_aggregate\] enabled = true.*mean tenant_aggregate"):
        composed(HostTable(), filter_options={"tenent_aggregate": {"enabled": True}})
    with pytest.raises(errors.ConfigError, match=r"\[weighers.colour\] enabled = true names colour"):
        composed(HostTable(), weigher_options={"colour": {"enabled": True}})
    assert composed(HostTable(), filter_options={"colour": {"enabled": False}}).warnings


def test_options_for_what_is_not_installed_stop_the_start() -> None:
    with pytest.raises(errors.ConfigError, match=r"\[weighers.colour\] names colour, which no installed plugin offers"):
        composed(HostTable(), weigher_options={"colour": {"multiplier": 2.0}, "RAMWeigher": {"multiplier": 2.0}})


def test_options_that_may_be_of_a_plugin_out_of_service_are_warned_of() -> None:
    out = {"weigher": ["weighers:acme of acme 1 is disabled: Listed in [plugins] disabled."]}
    made = composed(HostTable(), weigher_options={"colour": {"multiplier": 2.0}}, refused=out)
    assert made.warnings == ["[weighers.colour] is for no weigher that is installed"]
    with pytest.raises(errors.ConfigError, match="did it mean ram"):
        composed(HostTable(), weigher_options={"rm": {"multiplier": 2.0}}, refused=out)


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(errors.ConfigError, match=r"\[filters.io_ops\] has no key .most.; it takes max_io_ops_per_host"):
        composed(HostTable(), filters=["io_ops"], filter_options={"io_ops": {"most": 3}})
    with pytest.raises(errors.ConfigError, match="placement_strategy is pile; it takes spread or stack"):
        composed(HostTable(), placement_strategy="pile")


def vendor(build: Callable[[Any], Any], **fields: Any) -> FilterSpec:
    return FilterSpec(**{"name": "acme", "api": 1, "build": build, "within": PATIENT, **fields})


@attrs.frozen
class Acme:
    query: str = ""


def test_a_vendors_filter_may_be_given_a_text_of_lines_and_one_of_the_house_may_not() -> None:
    seen: list[Acme] = []

    def build(options: Acme) -> object:
        seen.append(options)
        raise ValueError("enough")

    lines = {"acme": {"query": "SELECT\n\thost"}}
    composed(HostTable(), vendor(build, options=Acme, default=True), filter_options=lines)
    assert seen == [Acme(query="SELECT\n\thost")]
    with pytest.raises(errors.ConfigError, match=r"\[filters\.acme\] .*: takes a text without control characters but"):
        composed(HostTable(), vendor(build, options=Acme), filter_options={"acme": {"query": "a\0"}})
    stock = Offered(vendor(build, options=Acme), "novakit-filters", stock=True)
    with pytest.raises(errors.ConfigError, match=r"\[filters\.acme\] .*: takes a text without control characters, not"):
        compose([stock], [], HostTable(), PipelineOptions(filter_options=lines))


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (vendor(lambda _: 1 / 0), "could not be built: ZeroDivisionError"),
        (vendor(lambda _: object()), "cannot be used: what it built has no method mask\\(\\) or passes\\(\\)"),
    ],
)
def test_a_named_filter_that_cannot_be_used_stops_the_start_with_the_reason(spec: FilterSpec, why: str) -> None:
    with pytest.raises(errors.ConfigError, match=f"{VENDOR}.* {why}.*novakit plugin list"):
        composed(HostTable(), spec, filters=["ram", "acme"])


def test_a_filter_that_is_switched_on_and_cannot_be_built_stops_the_start() -> None:
    with pytest.raises(errors.ConfigError, match="filter acme is required and cannot be used"):
        composed(HostTable(), vendor(lambda _: object()), filter_options={"acme": {"enabled": True}})


def test_a_promised_filter_that_cannot_be_built_stops_the_start() -> None:
    with pytest.raises(errors.ConfigError, match="could not be built: ZeroDivisionError"):
        composed(HostTable(), vendor(lambda _: 1 / 0, always=True, default=True))


def test_a_filter_that_nobody_named_and_cannot_be_built_costs_only_itself() -> None:
    made = composed(HostTable(), vendor(lambda _: 1 / 0, default=True))
    assert "ram" in chosen(made) and "acme" not in chosen(made)
    assert made.faults.keys() == {"filter acme"}
    assert re.search(f"acme of {VENDOR} could not be built: ZeroDivisionError", made.faults["filter acme"])


def test_a_name_that_a_broken_plugin_may_offer_is_not_called_uninstalled() -> None:
    refused = {"filter": ["filters:acme of novakit-acme 1.0 is broken: it cannot be imported."]}
    with pytest.raises(errors.ConfigError) as told:
        compose(
            [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()],
            [],
            HostTable(),
            PipelineOptions(filters=["rams"]),
            refused,
        )
    assert "did it mean ram? Installed but not in service: filters:acme of novakit-acme 1.0" in told.value.message


@attrs.frozen
class Even:
    """Keep hosts with an even number."""

    def passes(self, host: Any, ask: Any) -> bool:
        return int(host.name.removeprefix("host")) % 2 == 0
