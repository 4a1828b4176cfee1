"""What an operator writes about who may do what."""

import os
from pathlib import Path

import pytest
import structlog

from novakit import world
from novakit.api.compute.policies import RULES
from novakit.api.services import default_checks, told
from novakit.errors import ConfigError
from novakit.policy import Policy, PolicyFile
from novakit.policy import file as policy_file
from novakit.policy.personas import PERSONAS, caller, foreign

KNOWN = default_checks()


DELETE = "os_compute_api:servers:delete"


def compute(file: PolicyFile | None = None) -> Policy:
    return Policy("compute", RULES, file or PolicyFile())


def written(path: Path, text: str) -> PolicyFile:
    path.write_text(text)
    return PolicyFile.open(path, required=False, known=KNOWN)


def lets(policy: Policy, rule: str) -> set[str]:
    return {name for name, persona in PERSONAS.items() if policy.allows(policy.admitted(persona), rule)}


def test_an_operators_file_changes_a_rule_and_nothing_else(tmp_path: Path) -> None:
    policy = compute(written(tmp_path / "policy.yaml", f'"{DELETE}": "role:auditor"\n'))
    assert lets(policy, DELETE) == set()
    assert policy.allows(policy.admitted(caller("auditor")), DELETE)
    assert lets(policy, "os_compute_api:servers:create") == {"admin", "manager", "member"}


def test_rules_may_say_tenant_and_administrative_project_as_operators_did_for_years(tmp_path: Path) -> None:
    check = "tenant_id:%(tenant_id)s and is_admin_project:True and not is_admin_project:False"
    check += " and tenant_id:%(network:tenant_id)s and tenant_id:%(security_group:tenant_id)s"
    policy = compute(written(tmp_path / "policy.yaml", f'"{DELETE}": "{check}"\n'))
    member = policy.admitted(PERSONAS["member"])
    assert policy.allows(member, DELETE)
    assert not policy.allows(member, DELETE, foreign())


def test_an_operators_file_says_who_is_an_administrator(tmp_path: Path) -> None:
    policy = compute(written(tmp_path / "policy.yaml", '"context_is_admin": "role:cloud_admin"\n'))
    assert policy.admitted(caller("cloud_admin")).is_admin
    assert not policy.admitted(PERSONAS["admin"]).is_admin
    assert not policy.allows(policy.admitted(PERSONAS["admin"]), "os_compute_api:os-hypervisors:list")


def test_a_changed_file_is_taken_up_and_a_spoilt_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(world, "monotonic", lambda: clock[0])
    path = tmp_path / "policy.yaml"
    policy = compute(written(path, ""))
    assert "member" in lets(policy, DELETE)
    for text, expected in (
        (f'"{DELETE}": "!"', set()),
        ("spoilt: [", set()),
        (f'"{DELETE}": "role:reader"', {"admin", "manager", "member", "reader"}),
    ):
        path.write_text(text)
        os.utime(path, ns=(int(clock[0]), int(clock[0])))
        clock[0] += policy_file.LOOKED_EVERY
        assert lets(policy, DELETE) == expected, text
    path.unlink()
    clock[0] += policy_file.LOOKED_EVERY
    assert lets(policy, DELETE) == {"admin", "manager", "member"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not YAML"),
        ("- a\n- b", "takes one rule a line"),
        ('"get_image": 5', "takes a check as a string"),
        ('"get_image": "foo"', "is not understood"),
        ('"get_image": "role:a and"', "is not understood"),
        ('"get_image": "role:a or (role:b"', "is not understood"),
        ('"get_image": "field:networks"', "is not understood"),
        ('"get_image": "https://other/%(name)s"', "over HTTP"),
        ('"get_image": "rule:nothing"', "which nothing defines"),
        ('"a": "rule:b"\n"b": "not rule:a"', "in a circle: a -> b -> a"),
        (b"\xff\xfe\x00", "is not UTF-8 at line 1; save it"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deep; write one rule a line"),
        ("\n".join(" " * depth + "a:" for depth in range(900)), "nested too deep; write one rule a line"),
        (f'"get_image": "{"not " * 3000}role:a"', "nested too deep; write it with fewer levels"),
        (f'"get_image": "{"not " * 900}role:a"', "nested too deep; write it with fewer levels"),
        (f'"get_image": "{"not " * 60}role:a"', "nested too deep; write it with fewer levels"),
        ("\n".join([*(f'"r{n}": "rule:r{n + 1}"' for n in range(2000)), '"r2000": "@"']), "over more than 50 levels"),
        ("\n".join([*(f'"r{n}": "not not rule:r{n + 1}"' for n in range(30)), '"r30": "@"']), "more than 50 levels"),
        ('"a\\nb": "rule:c"', "the rule 'a\\nb' refers to rule:c, which nothing defines; correct the name"),
        ('a: "@"\nb: "!"\n"a": "!"', "says 'a' twice, in lines 1 and 3; keep one of them"),
        ('{"a": "@", "a": "!"}', "says 'a' twice, in lines 1 and 1"),
        ("a: \x01", "is not YAML"),
        ('"get_image": "rol:member"', "'rol:member' asks for what no caller has; write role or"),
        ('"get_image": "tenant:%(tenant_id)s"', "asks for what no caller has; write tenant_id or"),
        ('"get_image": "token.user.idd:%(user_id)s"', "asks for what no caller has"),
        ('"get_image": "project_id:%(nope.nope)s"', "asks for 'nope.nope', which no resource has; write "),
        ('"get_image": "not role:%(projectid)s"', "asks for 'projectid', which no resource has; write project_id or"),
        ('"create_port": "field:network:shared=True"', "which no resource has; write networks:shared or"),
        ("a: 2026-13-45", "month must be in 1..12. Correct that"),
        (f"a: {'9' * 5000}", "value has 5000 digits. Correct that"),
        # What oslo.policy takes and cannot answer: each request that asks the rule would fail.
        *(
            (f'"get_image": "{check}"', "cannot be answered")
            for check in ("role:%(y", "role:100%", "role:%d", "1+:x", "roles.x:y", "[:x", "field:a:b=~(")
        ),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_reason(tmp_path: Path, text: str | bytes, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        PolicyFile.open(path, required=False, known=KNOWN)
    assert said in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", ["os_compute_api:servers:delete", "delete_image", "identity:delete_user"])
def test_a_rule_asks_for_what_its_own_service_tells_of_things(tmp_path: Path, rule: str) -> None:
    """Else `not` would let everybody: only the network tells a thing's name."""
    path = tmp_path / "policy.yaml"
    for name in (rule, "delete_network"):
        path.write_text(f'"{name}": "rule:kept"\n"kept": "not \'production\':%(name)s"')
        if name == rule:
            with pytest.raises(ConfigError, match="asks for 'name', which no resource has"):
                PolicyFile.open(path, required=True, known=KNOWN, told=told())
        else:
            assert PolicyFile.open(path, required=True, known=KNOWN, told=told()).overrides


@pytest.mark.parametrize(
    ("text", "service", "instead"),
    [
        ('"publicize_image": "rule:admin_required"', "image", "context_is_admin"),
        ('"publicize_image": "not rule:admin_or_owner"', "image", "context_is_admin"),
        ('"identity:list_users": "rule:context_is_admin"', "identity", "admin_required"),
        ('"os_compute_api:servers:index": "role:reader or rule:admin_required"', "compute", "context_is_admin"),
        ('"get_image": "rule:mine"\n"mine": "rule:admin_required"', "image", "context_is_admin"),
        # In identity's table, in compute's and in novakit's: what it refers to must be in all of them.
        ('"service_or_admin": "rule:admin_required"', "compute", "context_is_admin"),
    ],
)
def test_a_rule_refers_to_rules_of_its_own_service_alone(tmp_path: Path, text: str, service: str, instead: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path / "policy.yaml", text)
    said = str(caught.value)
    assert f"which the {service} service does not have; write the check itself, or one of its own" in said
    assert f"rule:{instead}" in said.rpartition("(")[2]


@pytest.mark.parametrize(
    "check",
    [
        "system:all or system_scope:all",
        "'member':%(target.role.name)s and None:%(target.role.domain_id)s",
        "token.project.domain.id:%(target.domain.id)s or roles:member or domain_id:%(target.group.domain_id)s",
        "field:networks:router:external=True or is_admin:1 or role:%(target.role.name)s",
    ],
)
def test_what_some_caller_or_some_public_default_has_is_understood(tmp_path: Path, check: str) -> None:
    assert written(tmp_path / "policy.yaml", f'"get_image": "{check}"').overrides == {"get_image": check}


def test_a_rule_of_the_files_own_may_refer_to_what_the_services_have_that_ask_it(tmp_path: Path) -> None:
    text = '"mine": "rule:context_is_admin or role:auditor"\n"get_images": "rule:mine"\n'
    text += '"os_compute_api:servers:index": "rule:mine"\n"nobody_asks": "rule:admin_required"\n'
    policy = compute(written(tmp_path / "policy.yaml", text))
    assert policy.allows(policy.admitted(caller("auditor")), "os_compute_api:servers:index")
    assert policy.file.unknown == ["nobody_asks"]


def test_a_circle_is_seen_in_each_service_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text('"c": "rule:b"')
    # The last table alone has no circle: its b refers to nothing.
    known = {"one": {"a": "@", "b": "rule:c", "c": "@"}, "other": {"b": "@"}}
    with pytest.raises(ConfigError, match="in a circle: b -> c -> b"):
        PolicyFile.open(path, required=True, known=known)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        PolicyFile.open(tmp_path / "policy.yaml", required=True, known=KNOWN)
    with pytest.raises(ConfigError, match="is a directory and not a file; name one"):
        PolicyFile.open(tmp_path, required=True, known=KNOWN)
    assert PolicyFile.open(tmp_path / "policy.yaml", required=False, known=KNOWN).overrides == {}


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is a pipe and not a file"):
        PolicyFile.open(path, required=False, known=KNOWN)
    for aim, said in (
        ("/dev/zero", "is a device and not a file"),
        ("/nope/policy.yaml", "is a link to /nope/policy.yaml, which does not exist; correct it"),
        ("policy.yaml", "symbolic links; correct its name"),
    ):
        path.unlink()
        path.symlink_to(aim)
        with pytest.raises(ConfigError, match=said):
            PolicyFile.open(path, required=False, known=KNOWN)


def test_a_file_that_becomes_a_pipe_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(world, "monotonic", lambda: clock[0])
    path = tmp_path / "policy.yaml"
    policy = compute(written(path, f'"{DELETE}": "!"'))
    path.unlink()
    os.mkfifo(path)
    clock[0] += policy_file.LOOKED_EVERY
    assert lets(policy, DELETE) == set()


def test_rules_that_nothing_asks_are_named(tmp_path: Path) -> None:
    text = '"os_compute_api:servers:crate": "!"\n"mine": "role:x"\n"get_image": "rule:mine"\n'
    assert written(tmp_path / "policy.yaml", text).unknown == ["os_compute_api:servers:crate"]


def test_a_circle_that_a_file_closes_through_a_default_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text('"b": "rule:a"')
    with pytest.raises(ConfigError, match="in a circle: a -> b -> a"):
        PolicyFile.open(path, required=True, known={"any": {"a": "rule:b", "b": "@"}})


def test_a_file_that_takes_the_place_of_one_as_large_and_as_old_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(world, "monotonic", lambda: clock[0])
    path, other = tmp_path / "policy.yaml", tmp_path / "other.yaml"
    path.write_text(f'"{DELETE}": "!"')
    other.write_text(f'"{DELETE}": "@"')
    for one in (path, other):
        os.utime(one, ns=(5, 5))
    policy = compute(PolicyFile.open(path, required=False, known=KNOWN))
    assert lets(policy, DELETE) == set()
    other.replace(path)
    clock[0] += policy_file.LOOKED_EVERY
    assert "reader" in lets(policy, DELETE)


def test_a_spoilt_file_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(world, "monotonic", lambda: clock[0])
    path = tmp_path / "policy.yaml"
    policy = compute(written(path, ""))
    path.write_text("spoilt: [")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            clock[0] += policy_file.LOOKED_EVERY
            policy.refresh()
    assert [each["log_level"] for each in logs] == ["error"]
