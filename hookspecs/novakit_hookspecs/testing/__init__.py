"""The conformance suites: plain classes that a plugin's own tests subclass, and what those need to run."""
