"""What the steps of several verbs have in common."""
