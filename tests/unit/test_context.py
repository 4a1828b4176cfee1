"""Who asks, and whether a policy lets them."""

from novakit.context import SERVICE, RequestContext, Target


def test_an_administrator_is_known_by_the_role() -> None:
    assert RequestContext(request_id="r", user_id="u", roles=["admin", "reader"]).is_admin
    assert not RequestContext(request_id="r", user_id="u", roles=["member"]).is_admin
    assert not RequestContext(request_id="r", user_id="u", roles=["admin"], is_admin=False).is_admin


def test_the_policy_is_asked_with_the_caller_the_rule_and_the_thing() -> None:
    asked: list[tuple[RequestContext, str, Target]] = []

    def decide(context: RequestContext, rule: str, target: Target) -> bool:
        asked.append((context, rule, target))
        return rule == "allowed"

    caller = RequestContext(request_id="r", user_id="u", decide=decide)
    assert caller.may("allowed", {"project_id": "p"}) and not caller.may("forbidden", {})
    assert asked == [(caller, "allowed", {"project_id": "p"}), (caller, "forbidden", {})]
    assert "decide" not in repr(caller)


def test_what_the_cloud_does_of_itself_no_policy_is_asked_about() -> None:
    assert SERVICE.may("anything", {}) and SERVICE.is_admin and "service" in SERVICE.roles
    assert RequestContext(request_id="r", user_id="u").may("anything", {})
