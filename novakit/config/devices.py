"""PCI devices as nova.conf lists them, and the names that its aliases give them."""

import json
from collections.abc import Mapping

import attrs

from novakit.config.quoting import quoted


@attrs.frozen
class Alias:
    """The name by which flavors ask for the devices of one vendor and product."""

    name: str
    vendor_id: str
    product_id: str

    def means(self, rule: Mapping[str, object]) -> bool:
        """Return whether a rule is for these devices and for no others."""
        said = [str(rule.get(key, "")).lower() for key in ("vendor_id", "product_id")]
        return said == [self.vendor_id.lower(), self.product_id.lower()]


def devices(value: object) -> list[dict[str, str]]:
    """Take the list of device specifications, in JSON as nova.conf has it or as tables. Raises ValueError."""
    found: list[dict[str, str]] = []
    for spec in _records(value):
        if not isinstance(spec, dict) or not (spec.get("vendor_id") or spec.get("address")):
            raise ValueError(f"takes records with vendor_id and product_id, or an address, not {quoted(spec)}")
        found.append(_rule(spec))
    return found


def aliases(value: object) -> list[Alias]:
    """Take the list of aliases, in JSON or as tables. Raises ValueError."""
    found: list[Alias] = []
    for one in _records(value):
        said = [one.get(key) for key in ("name", "vendor_id", "product_id")] if isinstance(one, dict) else []
        texts = [each for each in said if isinstance(each, str) and each]
        if len(texts) != 3:
            raise ValueError(f"takes records with name, vendor_id and product_id, not {quoted(one)}")
        found.append(Alias(*texts))
    return found


def name_kinds(rules: object, named: list[Alias]) -> list[str]:
    """Give rules the kind that an alias names them. Returns a sentence for each alias that names none.

    A rule has one kind: the first alias that means it gives it.
    """
    said: list[str] = []
    known = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    given: list[int] = []
    for alias in named:
        meant = [rule for rule in known if alias.means(rule)]
        free = [rule for rule in meant if id(rule) not in given]
        for rule in free:
            rule["kind"] = alias.name
            given.append(id(rule))
        if not meant:
            said.append(
                f"no device is listed with vendor_id {quoted(alias.vendor_id)} and product_id"
                f" {quoted(alias.product_id)}; write kind = {quoted(alias.name)} in the rule"
                " of the driver's pci that flavors mean by it"
            )
        elif not free:
            said.append(
                f"a rule of the driver's pci has one kind, and {quoted(alias.name)} is a second name for"
                f" {quoted(meant[0]['kind'])}; let flavors ask for that"
            )
    return said


def _records(value: object) -> list[object]:
    found: list[object] = []
    for one in value if isinstance(value, list) else [value]:
        try:
            said = json.loads(one) if isinstance(one, str) else one
        except (ValueError, RecursionError) as error:
            raise ValueError(f"takes JSON: {error}") from None
        found += said if isinstance(said, list) else [said]
    return found


def _rule(spec: Mapping[str, object]) -> dict[str, str]:
    rule = {key: str(spec[key]) for key in ("vendor_id", "product_id", "address") if spec.get(key)}
    rule["kind"] = str(
        spec.get("name") or "-".join(rule.get(key, "") for key in ("vendor_id", "product_id")).strip("-")
    )
    return {**rule, "kind": rule["kind"] or "device"}
