"""The refusals of the network service, by the names clients match on."""

from novakit import errors


def not_found(what: str, key: str) -> errors.NotFound:
    """Make the error for a thing that is not there, or that the caller may not know of."""
    kinds = {
        "floating IP": "FloatingIPNotFound",
        "router interface": "RouterInterfaceNotFound",
        "router interface for subnet": "RouterInterfaceNotFoundForSubnet",
        "security group": "SecurityGroupNotFound",
        "security group rule": "SecurityGroupRuleNotFound",
    }
    kind = kinds.get(what) or f"{what.title().replace(' ', '')}NotFound"
    return errors.NotFound(f"{what[0].upper()}{what[1:]} {key[:255]} could not be found.", kind=kind)


def invalid(sentence: str) -> errors.BadRequest:
    """Make the error for input that cannot be right."""
    return errors.BadRequest(f"Invalid input for operation: {sentence}", kind="InvalidInput")


def bad(kind: str, sentence: str) -> errors.BadRequest:
    """Make a 400 of a kind."""
    return errors.BadRequest(sentence, kind=kind)


def conflict(kind: str, sentence: str) -> errors.Conflict:
    """Make a 409 of a kind."""
    return errors.Conflict(sentence, kind=kind)


def over_quota(resource: str) -> errors.Conflict:
    """Make the error for a project that has as many of a resource as it may."""
    return errors.Conflict(f"Quota exceeded for resources: ['{resource}'].", kind="OverQuota")


def forbidden(sentence: str) -> errors.Forbidden:
    """Make the error for something that only others may do."""
    return errors.Forbidden(f"{sentence} is disallowed by policy", kind="PolicyNotAuthorized")


def disallowed(rule: str) -> errors.Forbidden:
    """Make the error for a rule of the policy that the caller does not meet."""
    return errors.Forbidden(f"(rule:{rule}) is disallowed by policy", kind="PolicyNotAuthorized")


def no_address_left(network_id: str) -> errors.Conflict:
    """Make the error for a network whose pools are used up."""
    return errors.Conflict(
        f"No more IP addresses available on network {network_id}.", kind="IpAddressGenerationFailure"
    )
