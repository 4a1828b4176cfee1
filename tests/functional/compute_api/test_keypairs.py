import hashlib
import subprocess
from base64 import b64decode

import pytest

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK me"
BRIEF = {"name", "public_key", "fingerprint"}


@pytest.mark.parametrize(
    ("version", "created", "deleted", "more"),
    [("2.1", 200, 202, set()), ("2.2", 201, 204, {"type"}), ("2.92", 201, 204, {"type"})],
)
async def test_status_and_keys_follow_the_version(api, version, created, deleted, more):
    answer = await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}}, version=version)
    assert answer.status == created and set(answer.body["keypair"]) == BRIEF | {"user_id"} | more
    listed = await api("GET", "/v2.1/os-keypairs", version=version)
    assert [set(item["keypair"]) for item in listed.body["keypairs"]] == [BRIEF | more]
    shown = await api("GET", "/v2.1/os-keypairs/k", version=version)
    assert set(shown.body["keypair"]) == BRIEF | more | {
        "user_id",
        "created_at",
        "deleted",
        "deleted_at",
        "id",
        "updated_at",
    }
    assert (await api("DELETE", "/v2.1/os-keypairs/k", version=version)).status == deleted
    assert (await api("GET", "/v2.1/os-keypairs/k", version=version)).status == 404


async def test_the_fingerprint_is_the_md5_of_the_key(api):
    answer = await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}})
    digest = hashlib.md5(b64decode(KEY.split()[1])).hexdigest()
    assert answer.body["keypair"]["fingerprint"].replace(":", "") == digest


async def test_a_pair_is_made_when_no_key_is_given_and_its_private_half_is_not_kept(api, tmp_path):
    answer = await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k"}}, version="2.91")
    pair = answer.body["keypair"]
    file = tmp_path / "key"
    file.write_text(pair["private_key"])
    file.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", file], check=True, capture_output=True, text=True).stdout
    assert public.split()[:2] == pair["public_key"].split()[:2]
    assert "private_key" not in (await api("GET", "/v2.1/os-keypairs/k")).body["keypair"]
    database = b"".join(path.read_bytes() for path in tmp_path.glob("x.db*"))
    assert pair["private_key"].splitlines()[2].encode() not in database
    assert (await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "l"}}, version="2.92")).status == 400


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "a/b"},
        {"name": "a@b"},
        {"name": ""},
        {"name": "x" * 256},
        {"public_key": "rubbish"},
        {"public_key": "ssh-rsa !!!!"},
        {"public_key": KEY + "\n" + KEY},
        {"public_key": "ssh-ed25519 " + "A" * 20000},
        {"type": "x509"},
        {"type": "pgp"},
        {"more": 1},
    ],
)
async def test_bad_key_pairs_are_refused(api, bad):
    body = {"keypair": {"name": "k", "public_key": KEY, **bad}}
    assert (await api("POST", "/v2.1/os-keypairs", body, version="2.10")).status == 400
    assert (await api("GET", "/v2.1/os-keypairs")).body == {"keypairs": []}


async def test_at_signs_and_dots_are_allowed_in_names_from_2_92_on(api):
    body = {"keypair": {"name": "me@home.org", "public_key": KEY}}
    assert (await api("POST", "/v2.1/os-keypairs", body, version="2.91")).status == 400
    assert (await api("POST", "/v2.1/os-keypairs", body, version="2.92")).status == 201


async def test_a_name_is_taken_once_per_user(api):
    body = {"keypair": {"name": "k", "public_key": KEY}}
    assert (await api("POST", "/v2.1/os-keypairs", body)).status == 200
    assert (await api("POST", "/v2.1/os-keypairs", body)).status == 409
    assert (await api("POST", "/v2.1/os-keypairs", body, as_="bob")).status == 200


async def test_only_admins_reach_other_users_key_pairs(api):
    body = {"keypair": {"name": "k", "public_key": KEY, "user_id": "ann"}}
    assert (await api("POST", "/v2.1/os-keypairs", body, as_="bob", version="2.10")).status == 403
    assert (await api("POST", "/v2.1/os-keypairs", body, as_="admin", version="2.10")).status == 201
    assert (await api("GET", "/v2.1/os-keypairs/k?user_id=ann", as_="bob", version="2.10")).status == 403
    assert (await api("GET", "/v2.1/os-keypairs/k?user_id=ann", as_="admin", version="2.10")).status == 200
    assert (await api("GET", "/v2.1/os-keypairs/k?user_id=ann", as_="admin", version="2.9")).status == 404


async def test_key_pairs_are_paged_from_2_35_on(api):
    for name in "cab":
        await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": name, "public_key": KEY}})
    page = await api("GET", "/v2.1/os-keypairs?limit=2", version="2.35")
    assert [item["keypair"]["name"] for item in page.body["keypairs"]] == ["a", "b"]
    assert "marker=b" in page.body["keypairs_links"][0]["href"]
    rest = await api("GET", "/v2.1/os-keypairs?limit=2&marker=b", version="2.35")
    assert [item["keypair"]["name"] for item in rest.body["keypairs"]] == ["c"]
    assert (await api("GET", "/v2.1/os-keypairs?marker=zz", version="2.35")).status == 400
    assert len((await api("GET", "/v2.1/os-keypairs?limit=2", version="2.34")).body["keypairs"]) == 3


async def test_the_quota_of_key_pairs_that_is_shown_is_the_one_that_is_kept(api, compute):
    await compute.quotas.change("project-a", {"key_pairs": 1})
    assert (await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "a", "public_key": KEY}})).status == 200
    answer = await api("POST", "/v2.1/os-keypairs", {"keypair": {"name": "b", "public_key": KEY}})
    assert answer.status == 403 and "Quota exceeded" in answer.body["forbidden"]["message"]
