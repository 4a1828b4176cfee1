"""What handlers write: the JSON of an answer, and the rows that are shown in one."""

from datetime import datetime
from typing import Literal, Protocol, overload

Document = dict[str, object]
"""A JSON object of an answer. What a handler reads is a record, which `novakit/api/bodies.py` makes of a body."""
Moment = Literal["created_at", "updated_at"]
Text = Literal["id", "name", "type", "resource_class", "provider_id", "consumer_id"]
Number = Literal["used", "generation", "consumers"]


class Row(Protocol):
    """A row as the domain gives it, to be shown: by their names its columns, of which these have one type everywhere.

    Whatever else a column holds is shown as it is.
    """

    @overload
    def __getitem__(self, column: Moment, /) -> datetime: ...
    @overload
    def __getitem__(self, column: Text, /) -> str: ...
    @overload
    def __getitem__(self, column: Number, /) -> int: ...
    @overload
    def __getitem__(self, column: str, /) -> object: ...
    def __getitem__(self, column: str, /) -> object:
        """Return the value of a column."""
