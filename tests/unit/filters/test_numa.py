import contextlib
import itertools
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_filters.numa import NumaTopology
from novakit_fit.numa import NumaHost, fit
from novakit_fit.numa_request import BadTopology, CellRequest, NumaRequest, numbers, requested_cells
from novakit_fit.numa_shortage import shortage
from novakit_hookspecs.numa import NumaCell, Taken
from novakit_hookspecs.testing.filters import ask, host_table


def cell(id: int, cpus: int = 4, memory_mb: int = 4096, threads: int = 1, **fields: Any) -> NumaCell:
    first = id * 100
    dedicated = tuple(range(first, first + cpus))
    cores = tuple(dedicated[start : start + threads] for start in range(0, cpus, threads))
    return NumaCell(id=id, dedicated=dedicated, siblings=cores, memory_mb=memory_mb, cpus=(first + 90,), **fields)


def wanted(vcpus: int = 4, memory_mb: int = 2048, **specs: str) -> NumaRequest | None:
    return requested_cells(
        vcpus, memory_mb, {f"hw:{name.replace('__', '.')}": text for name, text in specs.items()}, {}
    )


def fitted(host: NumaHost, one: NumaRequest | None) -> tuple[Taken, ...] | None:
    assert one is not None
    return fit(host, one)


def test_a_guest_that_does_not_care_has_no_wish() -> None:
    assert wanted() is None
    assert requested_cells(2, 512, {}, {"hw_cpu_policy": "dedicated"}) is not None


def test_cells_are_divided_evenly_or_as_written() -> None:
    even = wanted(numa_nodes="2")
    assert even is not None
    assert [(one.vcpus, one.memory_mb) for one in even.cells] == [((0, 1), 1024), ((2, 3), 1024)]
    uneven = wanted(numa_nodes="2", numa_cpus__0="0-2", numa_mem__0="1536", numa_cpus__1="3", numa_mem__1="512")
    assert uneven is not None
    assert [(one.vcpus, one.memory_mb) for one in uneven.cells] == [((0, 1, 2), 1536), ((3,), 512)]


@pytest.mark.parametrize(
    "specs",
    [
        {"numa_nodes": "0"},
        {"numa_nodes": "-1"},
        {"numa_nodes": "5"},
        {"numa_nodes": "3"},
        {"numa_nodes": "99999999999999999999"},
        {"cpu_policy": "mine"},
        {"cpu_policy": "mixed"},
        {"cpu_policy": "mixed", "cpu_dedicated_mask": "0-3"},
        {"cpu_policy": "dedicated", "cpu_thread_policy": "sometimes"},
        {"mem_page_size": "huge"},
        {"mem_page_size": "0"},
        {"numa_nodes": "2", "numa_cpus__0": "0-99999", "numa_mem__0": "1"},
        {"numa_nodes": "2", "numa_cpus__0": "1-0", "numa_mem__0": "1024", "numa_cpus__1": "2-3", "numa_mem__1": "1024"},
        {"cpu_policy": "mixed", "cpu_dedicated_mask": "3-2"},
        {"numa_nodes": "2", "numa_cpus__0": "0-1", "numa_mem__0": "1024", "numa_cpus__1": "1-3", "numa_mem__1": "1024"},
    ],
)
def test_an_impossible_wish_is_refused_with_a_sentence(specs: dict[str, str]) -> None:
    with pytest.raises(BadTopology):
        wanted(**specs)
    request = ask(vcpus=4, memory_mb=2048, extra_specs={f"hw:{key.replace('__', '.')}": v for key, v in specs.items()})
    table = host_table(numa=[NumaHost(cells=[cell(0)])])
    assert NumaTopology().mask(table, request).tolist() == [False]
    assert NumaTopology().why(table, request)[0].code == "numa_impossible"


def test_pinned_cpus_are_different_ones_and_never_given_twice() -> None:
    host = NumaHost(cells=[cell(0), cell(1)])
    seen: list[int] = []
    while (plan := fitted(host, wanted(vcpus=2, memory_mb=512, cpu_policy="dedicated"))) is not None:
        seen += [cpu for one in plan for cpu in one.cpus]
        host = attrs.evolve(host, taken=(*host.taken, *plan))
    assert sorted(seen) == [0, 1, 2, 3, 100, 101, 102, 103]


def test_thread_policies_choose_cores_as_they_promise() -> None:
    host = NumaHost(cells=[cell(0, cpus=8, threads=2)])
    isolated = fitted(host, wanted(vcpus=4, cpu_policy="dedicated", cpu_thread_policy="isolate"))
    assert isolated is not None
    assert sorted(cpu for _, cpu in isolated[0].pins) == [0, 2, 4, 6] and len(isolated[0].cpus) == 8
    assert fitted(host, wanted(vcpus=5, memory_mb=5, cpu_policy="dedicated", cpu_thread_policy="isolate")) is None
    required = fitted(host, wanted(vcpus=4, cpu_policy="dedicated", cpu_thread_policy="require"))
    assert required is not None and sorted(required[0].cpus) == [0, 1, 2, 3]
    single = NumaHost(cells=[cell(0, cpus=8, threads=1)])
    assert fitted(single, wanted(vcpus=4, cpu_policy="dedicated", cpu_thread_policy="require")) is None


def test_mixed_guests_pin_some_and_float_the_rest_and_emulator_threads_take_one_more() -> None:
    host = NumaHost(cells=[cell(0, cpus=4)])
    plan = fitted(host, wanted(vcpus=4, cpu_policy="mixed", cpu_dedicated_mask="0-1"))
    assert plan is not None and {guest for guest, _ in plan[0].pins} == {0, 1}
    isolated = wanted(vcpus=4, cpu_policy="dedicated", emulator_threads_policy="isolate")
    assert fitted(host, isolated) is None
    assert fitted(NumaHost(cells=[cell(0, cpus=5)]), isolated) is not None


@pytest.mark.parametrize(
    ("size", "expected"),
    [("small", 4), ("large", 1048576), ("any", 1048576), ("2MB", 2048), ("2048", 2048), ("1GB", 1048576)],
)
def test_pages_are_of_the_size_that_was_asked_for(size: str, expected: int) -> None:
    host = NumaHost(cells=[cell(0, memory_mb=16384, pages={2048: 1024, 1048576: 4})])
    plan = fitted(host, wanted(mem_page_size=size))
    assert plan is not None and plan[0].page_kb == expected


@pytest.mark.parametrize(
    ("flavor", "image", "page_kb"),
    [("large", "2MB", 2048), ("any", "1GB", 1048576), ("any", "small", 4), ("2MB", "2MB", 2048), ("large", "", -1)],
)
def test_an_image_chooses_the_page_size_where_its_flavor_leaves_it_open(flavor: str, image: str, page_kb: int) -> None:
    said = requested_cells(1, 512, {"hw:mem_page_size": flavor}, {"hw_mem_page_size": image})
    assert said is not None and said.page_kb == page_kb


@pytest.mark.parametrize(
    ("mask", "pinned"), [("0-1", {0, 1}), ("^0", {1, 2, 3}), ("^0,^3", {1, 2}), ("0-3,^1", {0, 2, 3}), ("^0-2", {3})]
)
def test_a_mask_names_cpus_or_those_left_out(mask: str, pinned: set[int]) -> None:
    said = wanted(cpu_policy="mixed", cpu_dedicated_mask=mask)
    assert said is not None and said.cells[0].pinned == pinned


def test_pages_run_out() -> None:
    host = NumaHost(cells=[cell(0, memory_mb=8192, pages={2048: 1024})])
    one = wanted(mem_page_size="2MB")
    plan = fitted(host, one)
    assert plan is not None
    assert fitted(attrs.evolve(host, taken=plan), one) is None


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=5),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
)
def test_a_fit_is_found_exactly_when_trying_every_order_finds_one(have: list[int], want: list[int]) -> None:
    host = NumaHost(cells=[cell(number, cpus=cpus, memory_mb=64) for number, cpus in enumerate(have)])
    counts = list(itertools.accumulate(want, initial=0))
    cells = [
        CellRequest(vcpus=range(first, last), pinned=frozenset(range(first, last)), memory_mb=1)
        for first, last in itertools.pairwise(counts)
    ]
    possible = len(want) <= len(have) and any(
        all(need <= have[place] for need, place in zip(want, order, strict=True))
        for order in itertools.permutations(range(len(have)), len(want))
    )
    assert (fit(host, NumaRequest(cells=cells)) is not None) == possible


def _host(cells: list[tuple[int, int, int, bool]], guests: list[tuple[int, int, str, str]]) -> NumaHost:
    """Make a host of cells (cores, threads, huge pages, shared CPUs), with what guests hold that came before."""
    made, first = [], 0
    for number, (cores, threads, pages, shared) in enumerate(cells):
        cpus = tuple(range(first, first + cores * threads))
        siblings = tuple(cpus[core * threads : core * threads + threads] for core in range(cores))
        first += len(cpus) + 1
        made.append(
            NumaCell(
                id=number,
                cpus=(first - 1,) if shared else (),
                dedicated=cpus,
                siblings=siblings,
                memory_mb=512 + 2 * pages,
                pages={2048: pages},
                socket=number // 2,
            )
        )
    host = NumaHost(cells=tuple(made))
    for one in guests:
        given = fit(host, asked_for(*one)) if asked_for(*one) else None
        host = NumaHost(cells=host.cells, taken=(*host.taken, *(given or ())))
    return host


def asked_for(vcpus: int, nodes: int, policy: str, more: str) -> Any:
    """Make the wish of a guest; `more` says its threads or its pages."""
    specs = {"hw:numa_nodes": str(nodes), "hw:cpu_policy": policy}
    if policy == "mixed":
        specs["hw:cpu_dedicated_mask"] = "0"
    if more in ("isolate", "require"):
        specs["hw:cpu_thread_policy"] = more
    elif more:
        specs["hw:mem_page_size"] = more
    try:
        return requested_cells(vcpus, 64 * vcpus, specs, {})
    except BadTopology:
        return None


guests = st.tuples(
    st.integers(1, 4),
    st.integers(1, 2),
    st.sampled_from(("dedicated", "shared", "mixed")),
    st.sampled_from(("", "isolate", "require", "large", "any", "2MB", "small")),
)
cells = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 2), st.sampled_from((0, 64, 128)), st.booleans()),
    min_size=1,
    max_size=3,
)


@given(cells, st.lists(guests, max_size=4), guests)
def test_the_room_of_a_host_says_of_every_guest_what_the_fit_says(
    of: list[tuple[int, int, int, bool]], before: list[tuple[int, int, str, str]], one: tuple[int, int, str, str]
) -> None:
    host, wanted = _host(of, before), asked_for(*one)
    if wanted is not None:
        assert host.room.fits(wanted) == (fit(host, wanted) is not None)
        assert (shortage(host.room, wanted) is None) == host.room.fits(wanted)


def test_hosts_with_the_same_room_share_it() -> None:
    first, second = (_host([(2, 2, 64, True)], [(2, 1, "dedicated", "")]) for _ in range(2))
    assert first.room is second.room
    assert first.room is not _host([(2, 2, 64, True)], []).room


def test_what_runs_short_is_told_with_how_much_there_is() -> None:
    room = _host([(3, 2, 64, False), (1, 1, 64, False)], []).room
    for specs, told in (
        ((5, 1, "dedicated", "isolate"), ("cpus", 5, 3)),
        ((7, 1, "dedicated", ""), ("cpus", 7, 6)),
        ((4, 1, "dedicated", "large"), ("pages", 256, 128)),
        ((1, 1, "shared", ""), ("shared_cpus", 1, 0)),
        ((4, 2, "dedicated", "isolate"), ("together", 2, 0)),
    ):
        lack = shortage(room, asked_for(*specs))
        assert lack is not None and (lack.kind, lack.wanted, lack.available) == told


def test_sixteen_host_cells_and_eight_guest_cells_are_decided_without_trying_every_order() -> None:
    tight = [cell(number, cpus=3) for number in range(9)] + [cell(number, cpus=8) for number in range(9, 16)]
    one = wanted(vcpus=32, memory_mb=8192, numa_nodes="8", cpu_policy="dedicated")
    assert fitted(NumaHost(cells=tight), one) is None
    assert fitted(NumaHost(cells=[cell(number, cpus=8) for number in range(16)]), one) is not None


@given(st.text(max_size=30))
def test_any_text_is_a_set_of_numbers_or_refused(text: str) -> None:
    with contextlib.suppress(BadTopology):
        assert all(0 <= number <= 1023 for number in numbers(text))


def test_hosts_that_tell_no_cells_are_told_from_those_that_run_short() -> None:
    small = NumaHost(cells=[NumaCell(id=0, cpus=(0,), memory_mb=256)])
    less = NumaHost(cells=[NumaCell(id=0, cpus=(0,), memory_mb=128)])
    table = host_table(numa=[None, small, less])
    request = ask(vcpus=1, memory_mb=1024, extra_specs={"hw:numa_nodes": "1"})
    unknown, short = NumaTopology().why(table, request)
    assert (unknown.code, unknown.count) == ("numa_unknown", 1)
    assert (short.code, short.count, short.wanted, short.available) == ("numa_memory", 2, 1024, 256)
    assert (short.remedy, short.shortfall) == ("768 MiB more memory in one NUMA cell", 0.75)
    assert NumaTopology().mask(table, request).tolist() == [False, False, False]


def test_cells_that_have_it_and_not_together_are_near() -> None:
    apart = NumaHost(
        cells=[
            NumaCell(id=0, cpus=(0,), dedicated=(1, 2), memory_mb=64),
            NumaCell(id=1, cpus=(3,), dedicated=(4,), memory_mb=4096),
        ]
    )
    specs = {"hw:numa_nodes": "1", "hw:cpu_policy": "dedicated"}
    (told,) = NumaTopology().why(host_table(numa=[apart]), ask(vcpus=2, memory_mb=1024, extra_specs=specs))
    assert (told.code, told.shortfall, told.wanted) == ("numa_not_together", 0.3, 1)


def test_a_topology_that_cannot_exist_keeps_every_host_out_and_says_so() -> None:
    table = host_table(numa=[None, None])
    request = ask(vcpus=1, memory_mb=1024, extra_specs={"hw:numa_nodes": "-1"})
    assert NumaTopology().applies(request) and not NumaTopology().mask(table, request).any()
    (told,) = NumaTopology().why(table, request)
    assert (told.code, told.count, told.remedy) == ("numa_impossible", 2, "another flavor or image")
    assert not NumaTopology().applies(ask()) and NumaTopology().mask(table, ask()).all()
