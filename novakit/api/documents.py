"""What handlers write: the JSON of an answer."""

Document = dict[str, object]
"""A JSON object of an answer. What a handler reads is a record, which `novakit/api/bodies.py` makes of a body."""
