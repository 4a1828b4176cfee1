"""The columns of all hosts."""

from novakit.scheduler.picture.table import SPARE, HostTable


def test_a_host_that_says_something_new_each_time_fills_no_memory_and_changes_nothing_for_others() -> None:
    table = HostTable()
    for name in ("steady", "new"):
        row = table.add(name, f"provider of {name}")
        table.put(row, cpu_info={"model": name}, availability_zone=name)
    steady, restless = table.row("steady"), table.row("new")
    assert steady is not None and restless is not None
    seen = table.codes("cpu_info")
    for number in range(10 * SPARE):
        table.put(restless, cpu_info={"model": f"model {number}"})
        words = table.vocabulary("cpu_info")
        assert words[table.codes("cpu_info")[steady]] == {"model": "steady"}
        assert words[table.codes("cpu_info")[restless]] == {"model": f"model {number}"}
        assert seen.tolist() == table.codes("cpu_info").tolist()
    assert len(table.vocabulary("cpu_info")) <= SPARE + 2 * table.size + 1
    later = table.add("later", "provider of later")
    assert table.vocabulary("cpu_info")[table.codes("cpu_info")[later]] is None
    table.put(later, cpu_info={"model": "steady"})
    assert table.codes("cpu_info")[later] == table.codes("cpu_info")[steady]
