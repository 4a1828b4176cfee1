"""What handlers read and write: the JSON of a body, and the rows that are shown in one."""

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]
"""A JSON object of a body. What its members are is said by the schema that has checked it, for each microversion
another, which a type checker cannot read; a handler makes records of it for the domain."""
Row = Mapping[Any, Any]
"""A row as the domain gives it, by column name: SQLAlchemy's rows have keys and values of any type."""
