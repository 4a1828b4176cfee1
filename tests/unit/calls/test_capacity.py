"""How capacity is shown: what does not apply is left out."""

from novakit.calls.capacity import Capacity, CapacityAfterLoss, CapacityReport, HostRoom, written

ABOUT = {"flavor": "m1", "resources": {"VCPU": 1}, "runs_out_first": {"VCPU": 1}, "hosts_in_question": 1}
HOST = HostRoom(host="a", fits=3, runs_out="VCPU")


def test_what_does_not_apply_is_left_out_and_hosts_are_objects() -> None:
    shown = written(Capacity(**ABOUT, fits=3, hosts=(HOST,)))
    assert shown["hosts"] == [{"host": "a", "fits": 3, "runs_out": "VCPU"}] and shown["fits"] == 3
    assert not {"failed", "message", "survive"} & shown.keys()


def test_why_it_could_not_be_counted_is_shown() -> None:
    assert written(Capacity(**ABOUT, fits=0, hosts=(), failed="no answer"))["failed"] == "no answer"


def test_what_a_loss_leaves_is_shown_where_it_was_asked_for() -> None:
    loss = CapacityAfterLoss(**ABOUT, fits=0, hosts=(), lost=("a",), moved=1, homeless=2)
    shown = written(CapacityReport(**ABOUT, fits=3, hosts=(HOST,), survive=loss))["survive"]
    assert isinstance(shown, dict) and shown["lost"] == ("a",) and shown["homeless"] == 2
    assert "survive" not in written(CapacityReport(**ABOUT, fits=3, hosts=(HOST,)))
