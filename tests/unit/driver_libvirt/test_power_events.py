"""What listeners are told after a lost connection, without a libvirt."""

import asyncio
from collections.abc import Sequence

import pytest

from novakit_driver_libvirt import power_events
from novakit_driver_libvirt.calls import Domain
from novakit_driver_libvirt.power_events import PowerEvents, next_of
from novakit_hookspecs.errors import Busy
from novakit_hookspecs.servers import GuestEvent, Power

A, B = "a" * 8 + "-aaaa" * 3 + "-" + "a" * 12, "b" * 8 + "-bbbb" * 3 + "-" + "b" * 12
WHY = "seen after the connection came back"


class Libvirtd:
    """Gives each answer once, and the last one for ever."""

    def __init__(self, *answers: Sequence[Domain] | Exception) -> None:
        self.answers = list(answers)

    async def domains(self) -> Sequence[Domain]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def domain(guest: str, power: Power, why: str = "") -> Domain:
    return Domain(guest=guest, power=power, why=why, directory="/instances")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_events, "RECONNECT", 0.001)
    monkeypatch.setattr(power_events, "SETTLED", 0.001)


async def test_all_guests_are_told_once_libvirtd_is_back_and_those_that_changed_once_more() -> None:
    before = [domain(A, Power.RUNNING), domain(B, Power.RUNNING)]
    after = [domain(A, Power.RUNNING), domain(B, Power.CRASHED, "QEMU ended unexpectedly")]
    events = PowerEvents(Libvirtd(Busy("away"), Busy("away"), before, after).domains)
    told = events.listen()
    events.lost()
    async with asyncio.timeout(5):
        seen = [await told.get() for _ in range(3)]
    assert seen == [
        GuestEvent(guest=A, power=Power.RUNNING, why=WHY),
        GuestEvent(guest=B, power=Power.RUNNING, why=WHY),
        GuestEvent(guest=B, power=Power.CRASHED, why="QEMU ended unexpectedly"),
    ]
    await events.close()
    assert told.empty()


async def test_nobody_tries_to_connect_after_the_close() -> None:
    libvirtd = Libvirtd(Busy("away"))
    events = PowerEvents(libvirtd.domains)
    told = events.listen()
    events.lost()
    await asyncio.sleep(0.005)
    await events.close()
    libvirtd.answers = [[domain(A, Power.RUNNING)]]
    await asyncio.sleep(0.02)
    assert told.empty()


async def test_the_next_event_of_a_guest_is_waited_for_past_those_of_others() -> None:
    events = PowerEvents(Libvirtd([]).domains)
    told = events.listen()
    events.tell(B, Power.RUNNING, "")
    events.tell(A, Power.SHUTDOWN, "")
    events.tell(A, Power.RUNNING, "")
    await next_of(told, A, within=5)
    assert told.get_nowait() == GuestEvent(guest=A, power=Power.RUNNING, why="")
    await next_of(told, A, within=0.01)
