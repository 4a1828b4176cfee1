"""What all resources of the network API show alike."""

from collections.abc import Mapping
from typing import Any


def standard(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Show the attributes that every resource has."""
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "project_id": row["project_id"],
        "tenant_id": row["project_id"],
        "tags": row["tags"],
        "revision_number": row["revision"],
        "created_at": f"{row['created_at']:%Y-%m-%dT%H:%M:%SZ}",
        "updated_at": f"{row['updated_at']:%Y-%m-%dT%H:%M:%SZ}",
    }


def route(pair: Any) -> dict[str, str]:
    """Show a route."""
    return {"destination": pair[0], "nexthop": pair[1]}


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Take the attributes that were given under the names of their columns."""
    return {column: values[name] for name, column in names.items() if name in values}
