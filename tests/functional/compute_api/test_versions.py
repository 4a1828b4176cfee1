async def test_the_root_lists_the_major_version_to_anybody(api):
    for path in ("/", ""):
        answer = await api("GET", path, as_=None)
        assert answer.status == 200
        assert [v["id"] for v in answer.body["versions"]] == ["v2.0", "v2.1"]


async def test_v20_is_the_calls_of_the_first_version_whatever_is_asked_for(api, boot):
    shown = await api("GET", "/v2/", as_=None)
    assert shown.status == 200 and shown.body["version"]["id"] == "v2.0"
    assert shown.body["version"]["links"][0]["href"].endswith("/compute/v2/")
    server_id = await boot(description="d")
    for version in (None, "2.100", "2.999", "nonsense"):
        answer = await api("GET", f"/v2/servers/{server_id}", version=version)
        assert answer.status == 200 and "description" not in answer.body["server"], version
        assert answer.headers["OpenStack-API-Version"] == "compute 2.1"
        assert answer.body["server"]["links"][0]["href"].endswith(f"/compute/v2.1/servers/{server_id}")
    assert (await api("GET", "/v2/servers/detail", as_=None)).status == 401
    assert (await api("PUT", f"/v2/flavors/{1}", {"flavor": {"description": "x"}}, as_="admin")).status == 404


async def test_v21_says_its_window_with_and_without_a_slash_and_token(api):
    for path in ("/v2.1", "/v2.1/"):
        for caller in (None, "ann"):
            answer = await api("GET", path, as_=caller)
            assert answer.status == 200
            version = answer.body["version"]
            assert (version["id"], version["version"], version["min_version"]) == ("v2.1", "2.100", "2.1")
            assert version["links"][0]["href"].endswith("/compute/v2.1/")


async def test_a_call_without_token_is_refused_and_told_where_to_log_in(api):
    answer = await api("GET", "/v2.1/flavors", as_=None)
    assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


async def test_a_version_above_the_window_is_not_acceptable_and_echoed(api):
    answer = await api("GET", "/v2.1/flavors", version="2.101")
    assert answer.status == 406 and "computeFault" in answer.body
    assert answer.headers["OpenStack-API-Version"] == "compute 2.101"
    assert answer.headers["X-OpenStack-Nova-API-Version"] == "2.101"


async def test_every_answer_names_its_version_and_its_request(api):
    answer = await api("GET", "/v2.1/flavors", version="latest")
    assert answer.headers["OpenStack-API-Version"] == "compute 2.100"
    assert answer.headers["x-openstack-request-id"] == answer.headers["x-compute-request-id"]


async def test_what_is_not_there_is_an_item_not_found(api):
    answer = await api("GET", "/v2.1/nothing")
    assert answer.status == 404 and answer.body["itemNotFound"]["code"] == 404
