"""What request bodies may hold, as JSON Schema, by the version from which it holds."""
