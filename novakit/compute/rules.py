"""Who may do something to servers: the rules that stand with what asks them, and the usual defaults of all of them.

The defaults are in the language of oslo.policy; the policy table of the compute API has the rules that they refer to.
"""

import attrs

ADMIN = "rule:context_is_admin"
MANAGER = "rule:project_manager_or_admin"
MEMBER = "rule:project_member_or_admin"
READER = "rule:project_reader_or_admin"
OWNER = "(rule:context_is_admin) or user_id:%(user_id)s"
ANYBODY = "@"


@attrs.frozen
class ActionRule:
    """A rule of the policy that an action asks, whole: the API's table reads it from here."""

    name: str
    """The public name, as operators write it in policy.yaml; one of our own begins with `novakit:`."""
    check: str
    """The default."""
