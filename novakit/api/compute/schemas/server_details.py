"""Bodies of the metadata and tags of a server."""

from novakit.api.bodies import Body
from novakit.api.compute.schemas import types

metadata = Body(dict[str, str], [((2, 1), types.metadata)], under="metadata")
meta = Body(dict[str, str], [((2, 1), {**types.metadata, "minProperties": 1, "maxProperties": 1})], under="meta")
tags = Body(tuple[str, ...], [((2, 26), {"type": "array", "items": types.tag, "maxItems": 50})], under="tags")
