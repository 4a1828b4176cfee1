"""What the tests of virt drivers work with: fixtures to override, and a witness of events."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest

from novakit_hookspecs.servers import Guest, GuestEvent, GuestPlan, LocalImage, Power
from novakit_hookspecs.virt import VirtDriver


async def until(check: Callable[[], Awaitable[object]], what: str, within: float) -> object:
    """Return the first true answer of `check`; fail with `what` after `within` seconds."""
    try:
        async with asyncio.timeout(within):
            while not (answer := await check()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{what}: not within {within:g} s")
    return answer


@attrs.define
class Witness:
    """Writes down the events of a driver while a test goes on."""

    seen: list[GuestEvent] = attrs.field(factory=list)

    def of(self, guest: str) -> list[Power]:
        """List the power states told of one guest, in order."""
        return [event.power for event in self.seen if event.guest == guest]

    async def told(self, guest: str, power: Power, within: float) -> None:
        """Wait until the guest was said to be in that power state."""

        async def check() -> bool:
            return power in self.of(guest)

        await until(check, f"an event that {guest} is {power.value}, told so far: {self.of(guest)}", within)


@asynccontextmanager
async def witness(driver: VirtDriver) -> AsyncIterator[Witness]:
    """Listen to the driver's events for as long as the block lasts."""
    written = Witness()
    events = driver.events()

    async def write() -> None:
        async for event in events:
            written.seen.append(event)

    task = asyncio.create_task(write(), name="witness")
    await asyncio.sleep(0)
    try:
        yield written
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class VirtFrame:
    """What the tests of a driver work with; the fixtures are there to be overridden."""

    facets: frozenset[type] = frozenset()
    """The facets that the driver declares in its `DriverSpec`."""
    renders: frozenset[type] = frozenset()
    """The attachments that the driver declares in its `DriverSpec`."""
    no_device: str = "the host reports no PCI device"
    """Why no device can be handed to a guest where the tests run, for those that are skipped."""
    patience: float = 30.0
    """Seconds in which anything asked of the driver must have happened."""

    @pytest.fixture
    def driver(self) -> VirtDriver:
        """Override: an opened driver on a host without guests of ours."""
        pytest.fail("override the fixture `driver`: give an opened driver and close it afterwards")

    @pytest.fixture
    def image(self) -> LocalImage | None:
        """Override: the image to boot from, for a driver that `wants_images`."""
        return None

    @pytest.fixture
    def plan(self, image: LocalImage | None) -> GuestPlan:
        """Override to ask for more than one CPU, 192 MiB and the image's own disk size."""
        return GuestPlan(
            id=str(uuid.uuid4()),
            name="a guest",
            hostname="a-guest",
            vcpus=1,
            memory_mb=192,
            root_gb=1 if image is None else 0,
            image=image,
            owner={"project_id": "a-project", "user_id": "a-user"},
        )

    @pytest.fixture
    async def guest(self, driver: VirtDriver, plan: GuestPlan) -> AsyncIterator[Guest]:
        """A running guest that is removed after the test."""
        yield await driver.create(plan)
        await driver.destroy(plan.id)

    async def booted(self, driver: VirtDriver, guest: str) -> None:
        """Override: wait until the guest listens to its power button and has printed something."""

    async def boots(self, driver: VirtDriver, guest: str) -> int:
        """Override: count how often the guest has booted, as its console tells; 0 where nobody can tell."""
        return 0

    async def kill_behind(self, driver: VirtDriver, guest: str) -> None:
        """Override: end the guest without the driver, as a crash of the hypervisor would."""
        pytest.skip("this driver's tests have no way to end a guest behind its back")

    async def another(self, driver: VirtDriver) -> VirtDriver:
        """Override: give a second opened driver over the same host, as an agent that was killed and started again."""
        pytest.skip("this driver's tests have no way to restart it")

    async def power_of(self, driver: VirtDriver, guest: str) -> Power | None:
        """Return how the driver lists the guest, None when it does not."""
        found = [each.power for each in await driver.guests() if each.id == guest]
        assert len(found) <= 1, f"guests() lists {guest} {len(found)} times: list each guest once"
        return found[0] if found else None

    def needs(self, facet: type) -> None:
        """Skip the test of a facet that the driver does not declare."""
        if facet not in self.facets:
            pytest.skip(f"the driver does not declare {facet.__name__}")
