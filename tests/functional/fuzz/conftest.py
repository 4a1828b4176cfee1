from tests.functional.postgres import postgres_cluster, postgres_url  # noqa: F401
