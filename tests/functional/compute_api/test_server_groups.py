"""Server groups."""

import pytest


@pytest.mark.parametrize(
    ("version", "group", "words"),
    [
        ("2.63", {"policy": "affinity"}, "'policy' needs microversion 2.64 or later; earlier ones take 'policies'"),
        ("2.1", {"policy": "affinity", "rules": {}}, "'policy' and 'rules' need microversion 2.64"),
        ("2.15", {"policies": ["affinity"], "rules": {}}, "'rules' needs microversion 2.64"),
        ("2.64", {"policies": ["affinity"]}, "'policies' is for microversions before 2.64; later ones take 'policy'"),
        ("2.14", {"policies": ["soft-affinity"]}, "Soft policies need microversion 2.15"),
        ("2.14", {"policies": [[]]}, "Invalid input"),
        ("2.14", [], "Invalid input"),
    ],
)
async def test_a_server_group_that_another_version_would_take_is_refused_with_that_version(api, version, group, words):
    asked = {"server_group": {"name": "g", **group} if group else group}
    answer = await api("POST", "/v2.1/os-server-groups", asked, version=version)
    assert answer.status == 400 and words in answer.body["badRequest"]["message"]


async def test_server_groups_follow_their_version(api):
    body = {"server_group": {"name": "g", "policies": ["anti-affinity"]}}
    old = (await api("POST", "/v2.1/os-server-groups", body)).body["server_group"]
    assert set(old) == {"id", "name", "members", "policies", "metadata"}
    soft = {"server_group": {"name": "g", "policies": ["soft-affinity"]}}
    assert (await api("POST", "/v2.1/os-server-groups", soft, version="2.14")).status == 400
    new = {"server_group": {"name": "n", "policy": "anti-affinity", "rules": {"max_server_per_host": "2"}}}
    made = (await api("POST", "/v2.1/os-server-groups", new, version="2.64")).body["server_group"]
    assert set(made) == {"id", "name", "members", "policy", "rules", "project_id", "user_id"}
    assert made["rules"] == {"max_server_per_host": 2}
    new["server_group"]["policy"] = "affinity"
    assert (await api("POST", "/v2.1/os-server-groups", new, version="2.64")).status == 400
    assert len((await api("GET", "/v2.1/os-server-groups")).body["server_groups"]) == 2
    assert (await api("GET", f"/v2.1/os-server-groups/{made['id']}", as_="bob")).status == 404
    assert (await api("DELETE", f"/v2.1/os-server-groups/{made['id']}")).status == 204
    assert (await api("DELETE", f"/v2.1/os-server-groups/{made['id']}")).status == 404
