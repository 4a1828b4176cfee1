"""The schema's history: expand first, contract a release later, so that two versions can share a database."""
