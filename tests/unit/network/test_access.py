"""Who may see and do what on the network."""

import pytest

from novakit import errors
from novakit.context import RequestContext
from novakit.left_out import LEFT_OUT
from novakit.network import access

MEMBER = RequestContext(request_id="r", user_id="u", project_id="p", roles=frozenset({"member"}))
ADMIN = RequestContext(request_id="r", user_id="u", project_id="a", roles=frozenset({"admin"}))
NOBODY = RequestContext(request_id="r", user_id="u")


def test_a_new_thing_is_the_callers_projects_unless_an_admin_says_another() -> None:
    assert (
        access.project_of(MEMBER, LEFT_OUT) == access.project_of(MEMBER, None) == access.project_of(MEMBER, "p") == "p"
    )
    assert access.project_of(ADMIN, "p") == "p"


@pytest.mark.parametrize(("context", "asked"), [(MEMBER, "another"), (NOBODY, LEFT_OUT), (NOBODY, "p")])
def test_nobody_makes_things_for_others(context: RequestContext, asked: str) -> None:
    with pytest.raises(errors.Forbidden):
        access.project_of(context, asked)


def test_whoever_has_no_project_sees_nobodys_things() -> None:
    assert (access.reach(MEMBER), access.reach(ADMIN)) == ("p", None)
    assert access.reach(NOBODY) not in (None, "")


async def test_what_belongs_to_others_is_not_found(bench) -> None:
    made = await bench.network()
    stranger = RequestContext(request_id="r", user_id="u", project_id="other", roles=frozenset({"member"}))
    async with bench.networks.store.read() as session:
        assert await access.the_network(session, bench.member, made.id) == made
        with pytest.raises(errors.NotFound):
            await access.the_network(session, stranger, made.id)
        with pytest.raises(errors.NotFound):
            await access.the_own(session, stranger, type(made), "network", made.id)
