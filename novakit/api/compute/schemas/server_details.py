"""Bodies of the metadata and tags of a server."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

metadata = Body([((2, 1), types.wrapped("metadata", types.metadata))])
meta = Body([((2, 1), types.wrapped("meta", {**types.metadata, "minProperties": 1, "maxProperties": 1}))])
tags = Body(
    [((2, 26), types.wrapped("tags", {"type": "array", "items": types.tag, "maxItems": 50}))],
)
