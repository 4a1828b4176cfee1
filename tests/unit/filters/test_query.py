"""The hint query."""

import json
from typing import Any

import pytest

from novakit_filters import query
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ([">=", "$free_ram_mb", 1024], ["host1"]),
        (["and", [">=", "$free_ram_mb", 0], ["not", ["=", "$hypervisor_type", "KVM"]]], ["host0"]),
        (["or", ["<", "$free_ram_mb", 1024], ["=", "$hypervisor_type", "KVM"]], ["host0", "host1"]),
        (["in", "$free_ram_mb", 512, 7], ["host0"]),
        (["=", "$hypervisor_hostname", "b"], ["host1"]),
        (["in", "$hypervisor_hostname", "a", "c"], ["host0"]),
        (["not", ["=", "host1", "$host"]], ["host0"]),
        (["=", "$host_ip", "10.0.0.1"], ["host1"]),
        (["<", "$node", "b"], []),
        ([">=", "$secret", 1], []),
        (["and"], []),
        ("free", []),
        ([">=", "$free_ram_mb", "1024"], []),
    ],
)
def test_the_query_hint_is_a_condition_on_facts(text: Any, expected: list[str]) -> None:
    table = host_table(
        free_memory_mb=[512.0, 4096.0], hypervisor_type=["QEMU", "KVM"], node=["a", "b"], host_ip=[None, "10.0.0.1"]
    )
    assert kept(query.Query(), table, ask(hints={"query": json.dumps(text)})) == expected


def test_a_huge_query_is_refused_and_not_worked_on() -> None:
    table = host_table(free_memory_mb=[512.0])
    deep = "[" + '"not",[' * 600 + "1" + "]" * 601
    wide = json.dumps(["or", *([["=", "$free_ram_mb", 1]] * 300)])
    for text in (deep, wide, "[" * 4000):
        assert kept(query.Query(), table, ask(hints={"query": text})) == []
        (reason,) = query.Query().why(table, ask(hints={"query": text}))
        assert reason.code == "query_unreadable"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (['[">=", "$free_ram_mb", 1024]'], ["host1"]),
        (['[">=", "$free_ram_mb", 1024]', '["=", "$free_ram_mb", 512]'], []),
        ('["<", 1024, "$free_ram_mb"]', ["host1"]),
        ('["=", "$free_disk_mb", 2048]', ["host0"]),
        ('[">=", "$free_ram_mb", true]', []),
        ('[">", "$free_ram_mb", 1, 600]', ["host1"]),
        ('["not"]', []),
    ],
)
def test_a_query_comes_as_a_text_or_as_the_only_one_of_a_list(hint: object, expected: list[str]) -> None:
    table = host_table(free_memory_mb=[512.0, 4096.0], free_disk_gb=[2.0, 3.0])
    assert kept(query.Query(), table, ask(hints={"query": hint})) == expected


def test_a_query_that_no_host_satisfies_says_so() -> None:
    table = host_table(free_memory_mb=[512.0])
    (told,) = query.Query().why(table, ask(hints={"query": '[">", "$free_ram_mb", 9999]'}))
    assert (told.code, told.count, told.remedy) == ("query", 1, "a wider query")
    assert not query.Query().applies(ask()) and kept(query.Query(), table, ask()) == ["host0"]
