"""An id is the same id in capitals, wherever a client writes it; what people name things is not."""

import uuid

import aiohttp
import pytest

from tests.support.service import Api, Service

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK me"
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def service(tmp_path, request):
    state = tmp_path / "state"
    state.mkdir()
    if request.param == "PostgreSQL":
        (state / "novakit.toml").write_text(f'database = "{request.getfixturevalue("postgres_url")}"\n')
    with Service(state) as running:
        yield running


async def test_ids_in_capitals_are_the_same_ids_in_every_service(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        network, image = await api.network(), await api.image()
        port = (await api.ok("POST", "/network/v2.0/ports", {"port": {"network_id": network.upper()}}))["port"]
        (group,) = port["security_groups"]
        asked = {"networks": [{"port": port["id"].upper()}], "security_groups": [{"name": group.upper()}]}
        server = await api.server("one", image.upper(), **asked)
        await api.reach(server, "ACTIVE")
        compute = f"/compute/v2.1/servers/{server.upper()}"
        for path in (
            compute,
            f"{compute}/os-interface/{port['id'].upper()}",
            f"{compute}/metadata",
            f"{compute}/os-instance-actions",
            f"/compute/v2.1/servers?marker={server.upper()}",
            f"/network/v2.0/networks/{network.upper()}",
            f"/network/v2.0/ports/{port['id'].upper()}",
            f"/network/v2.0/networks?marker={network.upper()}",
            f"/network/v2.0/security-groups/{group.upper()}",
            f"/image/v2/images/{image.upper()}",
            f"/image/v2/images?marker={image.upper()}",
        ):
            await api.ok("GET", path)
        shown = (await api.ok("GET", f"/image/v2/images/{image.upper()}"))["id"]
        assert shown == image, "an answer has small letters"
        hosts = (await admin.ok("GET", "/compute/v2.1/os-hypervisors"))["hypervisors"]
        await admin.ok("GET", f"/compute/v2.1/os-hypervisors/{hosts[0]['id'].upper()}")
        await api.ok("POST", f"{compute}/action", {"os-stop": None})
        await api.reach(server, "SHUTOFF")
        await api.ok("DELETE", compute)
        await api.gone(server)


async def test_ids_of_the_identity_service_in_capitals_are_the_same_ids(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        made = {"user": {"name": "eve", "password": "secret-of-eve", "default_project_id": api.project_id.upper()}}
        user = (await admin.ok("POST", "/identity/v3/users", made))["user"]
        assert user["default_project_id"] == api.project_id
        roles = (await admin.ok("GET", "/identity/v3/roles?name=member"))["roles"]
        eve, project, role = user["id"].upper(), api.project_id.upper(), roles[0]["id"].upper()
        assert (await admin.ok("GET", f"/identity/v3/users/{eve}"))["user"]["id"] == user["id"]
        grant = f"/identity/v3/projects/{project}/users/{eve}/roles/{role}"
        await admin.ok("PUT", grant)
        await admin.ok("GET", grant)
        asked = f"user.id={eve}&role.id={role}&scope.project.id={project}"
        assert len((await admin.ok("GET", f"/identity/v3/role_assignments?{asked}"))["role_assignments"]) == 1
        below = {"project": {"name": "below", "parent_id": project}}
        child = (await admin.ok("POST", "/identity/v3/projects", below))["project"]["id"]
        assert (await admin.ok("GET", f"/identity/v3/projects?parent_id={project}"))["projects"][0]["id"] == child
        proof = {"methods": ["password"], "password": {"user": {"id": eve, "password": "secret-of-eve"}}}
        login = {"auth": {"identity": proof, "scope": {"project": {"id": project}}}}
        assert (await admin.ok("POST", "/identity/v3/auth/tokens", login))["token"]["project"]["id"] == api.project_id
        await admin.ok("PUT", f"/compute/v2.1/os-quota-sets/{project}", {"quota_set": {"cores": 7}})
        assert (await api.ok("GET", f"/compute/v2.1/os-quota-sets/{api.project_id}"))["quota_set"]["cores"] == 7
        image = await admin.image()
        await admin.ok(
            "PATCH",
            f"/image/v2/images/{image}",
            [{"op": "replace", "path": "/visibility", "value": "shared"}],
            headers=PATCH,
        )
        await admin.ok("POST", f"/image/v2/images/{image}/members", {"member": project})
        await api.ok("GET", f"/image/v2/images/{image}/members/{project}")
        await api.ok("GET", f"/image/v2/images/{image}")


async def test_a_project_in_capitals_is_the_same_owner_and_filter_in_every_service(tmp_path):
    with Service(tmp_path / "state") as service:
        async with aiohttp.ClientSession() as session:
            api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
            mine, owner = api.project_id, api.project_id.upper()
            assert owner != mine
            for caller, key in ((api, "project_id"), (admin, "tenant_id")):
                body = {"network": {"name": "mine", "project_id": mine, key: owner}}
                made = (await caller.ok("POST", "/network/v2.0/networks", body))["network"]
                assert (made["project_id"], made["tenant_id"]) == (mine, mine)
                await api.ok("DELETE", f"/network/v2.0/networks/{made['id']}")
            own = (await admin.ok("POST", "/network/v2.0/networks", {"network": {"tenant_id": owner}}))["network"]["id"]
            for key in ("project_id", "tenant_id"):
                found = (await admin.ok("GET", f"/network/v2.0/networks?{key}={owner}"))["networks"]
                assert own in [one["id"] for one in found] and {one["project_id"] for one in found} == {mine}

            image = await api.image(owner=owner)
            change = [{"op": "replace", "path": "/owner", "value": owner}]
            shown = await admin.ok("PATCH", f"/image/v2/images/{image}", change, headers=PATCH)
            assert shown["owner"] == mine
            listed = (await api.ok("GET", f"/image/v2/images?owner={owner}"))["images"]
            assert [one["id"] for one in listed] == [image]

            server = await api.server("one", image)
            shown = await api.reach(server, "ACTIVE")
            for asked in (f"project_id={owner}", f"tenant_id={owner}", f"user_id={shown['user_id'].upper()}"):
                found = (await admin.ok("GET", f"/compute/v2.1/servers?all_tenants=1&{asked}"))["servers"]
                assert [one["id"] for one in found] == [server], asked
            limits = (await admin.ok("GET", f"/compute/v2.1/limits?tenant_id={owner}"))["limits"]["absolute"]
            assert limits["totalInstancesUsed"] == 1
            for asked in (f"project_id={owner}", f"server_id={server.upper()}"):
                (decision,) = (await api.ok("GET", f"/novakit/v1/decisions?{asked}"))["decisions"]
                assert decision["server_id"] == server

            policy = {"name": "g", "policy": "affinity"}
            group = (await api.ok("POST", "/novakit/v1/server-groups", {"server_group": policy}))["server_group"]["id"]
            asked = {"flavor": "m1.tiny", "image": image.upper(), "project_id": owner, "group": group.upper()}
            for hint in ({}, {"group": group.upper()}, {"group": group}, {"different_host": [server.upper()]}):
                dry_run = {**asked, "hints": hint}
                told = (await admin.ok("POST", "/novakit/v1/explain", dry_run))["decision"]
                assert told["project_id"] == mine and told["outcome"] == (
                    "refused" if "different_host" in hint else "placed"
                )
                assert (await admin.ok("POST", "/novakit/v1/capacity", dry_run))["capacity"] is not None
                await api.ok("POST", "/novakit/v1/explain", dry_run)
            two = {"name": "two", "imageRef": image, "flavorRef": "1", "networks": "none"}
            hints = {"group": group.upper(), "same_host": [server.upper()]}
            body = {"server": two, "os:scheduler_hints": hints}
            hinted = (await api.ok("POST", "/compute/v2.1/servers", body))["server"]["id"]
            await api.reach(hinted, "ACTIVE")
            members = (await api.ok("GET", f"/novakit/v1/server-groups/{group.upper()}"))["server_group"]["members"]
            assert members == [hinted]
            await api.ok("DELETE", f"/compute/v2.1/servers/{hinted}")
            (tmp_path / "state/images" / str(uuid.uuid4())).write_bytes(bytes(1 << 20))
            (file,) = (await admin.ok("GET", "/novakit/v1/image-files"))["image_files"]
            adoption = {"project": owner, "disk_format": "raw"}
            made = (await admin.ok("POST", f"/novakit/v1/image-files/{file['name']}/adopt", adoption))["image"]
            assert made["owner"] == mine

            private = {"name": "private", "ram": 64, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": False}
            flavor = (await admin.ok("POST", "/compute/v2.1/flavors", {"flavor": private}))["flavor"]["id"]
            for action, left in (("addTenantAccess", [mine]), ("removeTenantAccess", [])):
                told = await admin.ok("POST", f"/compute/v2.1/flavors/{flavor}/action", {action: {"tenant": owner}})
                assert [one["tenant_id"] for one in told["flavor_access"]] == left
            pair = {"name": "pair", "public_key": KEY, "user_id": shown["user_id"].upper()}
            assert (await admin.ok("POST", "/compute/v2.1/os-keypairs", {"keypair": pair}))["keypair"]["name"] == "pair"
            for caller, asked in ((api, ""), (admin, f"?user_id={shown['user_id'].upper()}")):
                (found,) = (await caller.ok("GET", f"/compute/v2.1/os-keypairs{asked}"))["keypairs"]
                assert found["keypair"]["name"] == "pair"
            await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
            await api.gone(server)


async def test_the_projects_id_may_stand_before_the_rest_of_a_path_as_in_old_catalogs(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        server = await api.server("one", await api.image())
        await api.reach(server, "ACTIVE")
        dashed = str(uuid.UUID(api.project_id))
        for place in (f"v2.1/{api.project_id}", f"v2.1/{api.project_id.upper()}", f"v2/{api.project_id}"):
            (found,) = (await api.ok("GET", f"/compute/{place}/servers"))["servers"]
            assert found["id"] == server
            shown = (await api.ok("GET", f"/compute/{place}/servers/{server}"))["server"]
            assert shown["status"] == "ACTIVE" and ("locked" in shown) == place.startswith("v2.1")
            await api.ok("GET", f"/compute/{place}/os-quota-sets/{api.project_id}")
        for other in (admin.project_id, dashed, "0" * 32):
            status, told = await api.call("GET", f"/compute/v2.1/{other}/servers")
            assert status == 400 and told["badRequest"]["message"] == (
                f"Malformed request URL: URL's project_id '{other}' doesn't match Context's project_id "
                f"'{api.project_id}'"
            )
        assert (await api.call("GET", f"/compute/v2.1/{api.project_id}/nothing"))[0] == 404
        assert (await api.call("GET", "/compute/v2.1/nothing/servers"))[0] == 404
        status, told = await api.call("PATCH", f"/compute/v2.1/{api.project_id}/servers")
        assert status == 405 and "badMethod" in told
        await api.ok("POST", f"/compute/v2.1/{api.project_id}/servers/{server}/action", {"os-stop": None})
        await api.reach(server, "SHUTOFF")
        await api.ok("DELETE", f"/compute/v2.1/{api.project_id}/servers/{server}")
        await api.gone(server)


async def test_what_people_name_keeps_its_capitals(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        name = "ABCDEF01-2345-4678-9ABC-DEF012345678"
        flavor = {"name": name, "id": name, "ram": 64, "vcpus": 1, "disk": 1}
        await admin.ok("POST", "/compute/v2.1/flavors", {"flavor": flavor})
        assert (await api.ok("GET", f"/compute/v2.1/flavors/{name}"))["flavor"]["id"] == name
        assert (await api.call("GET", f"/compute/v2.1/flavors/{name.lower()}"))[0] == 404
        server = await api.server("one", await api.image(), flavor=name)
        await api.reach(server, "ACTIVE")
        path = f"/compute/v2.1/servers/{server}/tags/{name}"
        await api.ok("PUT", path)
        assert (await api.ok("GET", f"/compute/v2.1/servers/{server}/tags"))["tags"] == [name]
        await api.ok("DELETE", path)
