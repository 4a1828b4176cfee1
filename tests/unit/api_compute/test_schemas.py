import pytest

from novakit import errors
from novakit.api.compute.schemas import keypairs, not_served, quotas, servers
from novakit.api.compute.servers.actions import BODIES
from novakit.compute.states import STATUSES, states_of, status_of

IMAGE = "70a599e0-31e7-49b7-b260-868f441e862b"


def refused(body, version, schema=servers.create):
    with pytest.raises(errors.BadRequest) as caught:
        schema.check(version, body)
    return caught.value.message


def server(**more):
    return {"server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE, **more}}


@pytest.mark.parametrize(
    ("field", "value", "since"),
    [
        ("description", "x", (2, 19)),
        ("tags", ["a"], (2, 52)),
        ("trusted_image_certificates", ["a"], (2, 63)),
        ("host", "h", (2, 74)),
        ("hypervisor_hostname", "h", (2, 74)),
        ("hostname", "ab", (2, 90)),
    ],
)
def test_a_field_is_known_from_its_version_on(field, value, since):
    body = server(**{field: value, "networks": "none" if since >= (2, 37) else []})
    servers.create.check(since, body)
    servers.create.check((2, 100), {**body, "server": {**body["server"], "networks": "none"}})
    message = refused(body, (2, since[1] - 1))
    assert message == f"Additional properties are not allowed ('{field}' was unexpected)"


def test_messages_name_field_and_rule():
    assert "'networks' is a required property" in refused(server(), (2, 37))
    assert "at most 255" in refused(server(name="x" * 300), (2, 1))
    assert "It must be a string." in refused(server(name=1), (2, 1))
    assert "It must be a string in base64" in refused(server(user_data="?"), (2, 1))
    assert len(refused(server(name="x" * 100000), (2, 1))) < 500


def test_tags_of_cards_came_went_and_came_back():
    card = {"uuid": IMAGE, "tag": "t"}
    for version, taken in [((2, 31), False), ((2, 32), True), ((2, 36), True), ((2, 37), False), ((2, 42), True)]:
        if taken:
            servers.create.check(version, server(networks=[card]))
        else:
            refused(server(networks=[card]), version)


def test_other_bodies_follow_their_versions():
    BODIES["lock"].check((2, 72), {"lock": "anything"})
    refused({"lock": "anything"}, (2, 73), BODIES["lock"])
    refused({"keypair": {"name": "a"}}, (2, 92), keypairs.create)
    quotas.update.check((2, 56), {"quota_set": {"injected_files": "-1"}})
    refused({"quota_set": {"injected_files": 1}}, (2, 57), quotas.update)


def test_every_status_is_found_again_from_its_states():
    for vm_state, tasks in STATUSES.items():
        for task_state, status in tasks.items():
            assert status_of(vm_state, None if task_state == "default" else task_state) == status
            assert vm_state in states_of([status])[0]


def test_every_action_that_is_not_served_has_a_body_that_is_checked_first():
    for name, action in not_served.ACTIONS.items():
        for version in {action.since or (2, 1), action.until or (2, 100)}:
            with pytest.raises(errors.BadRequest):
                BODIES[name].check(version, {name: None, "other": None})
    BODIES["rebuild"].check((2, 1), {"rebuild": {"imageRef": "x"}})
    BODIES["migrate"].check((2, 56), {"migrate": {"host": "alpha"}})
    for name, wrong, version in (
        ("rebuild", {}, (2, 100)),
        ("rebuild", {"imageRef": "x", "personality": []}, (2, 57)),
        ("rebuild", {"imageRef": "x", "hostname": "a-b"}, (2, 89)),
        ("migrate", {"host": "alpha"}, (2, 55)),
        ("evacuate", {"host": "alpha", "onSharedStorage": True}, (2, 14)),
        ("createImage", {}, (2, 1)),
        ("confirmResize", {"a": 1}, (2, 1)),
        ("changePassword", {"adminPass": 5}, (2, 1)),
    ):
        with pytest.raises(errors.BadRequest):
            BODIES[name].check(version, {name: wrong})
