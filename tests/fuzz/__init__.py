"""A fuzzer that knows the routes and the schemas: `python -m tests.fuzz --help`."""
