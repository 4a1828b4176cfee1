"""What one filter or weigher sees of the table."""

from collections.abc import Callable, Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from novakit.scheduler.picture.table import Array, HostTable, read_only
from novakit_hookspecs.scheduling import Aggregate

Test = Callable[[object], bool]


@attrs.define(eq=False)
class View:
    """What one filter or weigher sees of the table: the facts it declared, on all hosts or on some of them."""

    _table: HostTable
    _reads: frozenset[str]
    _some: NDArray[np.intp] | slice | None = None
    """Rows of the table, which are copied at the time of reading; not those of a slice."""

    @property
    def size(self) -> int:
        if isinstance(self._some, slice):
            return int(self._some.stop - self._some.start)
        return self._table.size if self._some is None else len(self._some)

    @property
    def names(self) -> Sequence[str]:
        names = self._table.names
        if isinstance(self._some, slice):
            return names[self._some]
        return names if self._some is None else [names[row] for row in self._some]

    @property
    def aggregates(self) -> Sequence[Aggregate]:
        return self._table.aggregates

    def column(self, name: str) -> Array:
        self._check(name)
        return self._cut(self._table.column(name))

    def codes(self, name: str) -> NDArray[np.int32]:
        self._check(name)
        return self._cut(self._table.codes(name))

    def vocabulary(self, name: str) -> Sequence[object]:
        self._check(name)
        return tuple(self._table.vocabulary(name))

    def where(self, name: str, test: Test) -> NDArray[np.bool_]:
        self._check(name)
        values = self._table.vocabulary(name)
        passed = np.fromiter((bool(test(value)) for value in values), np.bool_, len(values))
        if passed.all():
            return np.ones(self.size, np.bool_)
        mask: NDArray[np.bool_] = passed[self._cut(self._table.codes(name))]
        return mask

    def has_trait(self, trait: str) -> NDArray[np.bool_]:
        return self._cut(self._table.has_trait(trait))

    def in_aggregate(self, aggregate: int) -> NDArray[np.bool_]:
        return self._cut(self._table.in_aggregate(aggregate))

    def tagged(self, prefix: str) -> Sequence[Aggregate]:
        return self._table.tagged(prefix)

    def rows(self, names: Iterable[str]) -> NDArray[np.intp]:
        rows = self._table.rows(names)
        if self._some is None:
            return rows
        some = range(self._table.size)[self._some] if isinstance(self._some, slice) else self._some.tolist()
        place = {row: index for index, row in enumerate(some)}
        return np.array([place[int(row)] for row in rows if int(row) in place], np.intp)

    def of(self, rows: NDArray[np.intp] | slice) -> "View":
        """See only these rows of the table."""
        return View(self._table, self._reads, rows)

    def _check(self, name: str) -> None:
        if name not in self._reads and not self._of_family(name):
            raise KeyError(f"{name} was not declared in `reads`; add it to the FilterSpec or WeigherSpec")

    def _of_family(self, name: str) -> bool:
        return any(declared.endswith("_*") and name.startswith(declared[:-1]) for declared in self._reads)

    def _cut(self, array: Array) -> Array:
        if isinstance(self._some, slice):
            return array[self._some]
        return array if self._some is None else read_only(array[self._some])
