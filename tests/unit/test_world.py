"""What is left to chance: ids that others read as UUIDs, and words of which each is as likely as any other."""

import os
import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from novakit import world


def test_every_id_is_a_random_uuid_in_its_usual_form() -> None:
    made = [world.new_id() for _ in range(2000)]
    read = [uuid.UUID(each) for each in made]
    assert all(each.version == 4 and each.variant == uuid.RFC_4122 for each in read)
    assert [str(each) for each in read] == made and len({*made}) == len(made)
    seen = [{each[place] for each in made} for place in range(36)]
    assert [len(each) for each in seen] == [*[16] * 8, 1, *[16] * 4, 1, 1, *[16] * 3, 1, 4, *[16] * 3, 1, *[16] * 12]


def test_each_character_of_a_word_is_as_likely_as_any_other_at_each_place() -> None:
    class Seeded(world.SystemWorld):
        pass

    with world.using(Seeded(random.Random(7))):
        made = [world.word("abc", 4) for _ in range(8100)]
        assert world.word("x", 3) == "xxx" and world.word("abc", 0) == ""
    counted = Counter(made)
    assert len(counted) == 81, "all that there are"
    assert all(50 < count < 160 for count in counted.values())
    for place in range(4):
        assert all(2500 < count < 2900 for count in Counter(each[place] for each in made).values())


def test_a_process_that_is_split_in_two_makes_other_ids_on_each_side() -> None:
    world.new_id()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, " ".join(world.new_id() for _ in range(10)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 10_000).decode().split()
    os.close(read)
    os.close(write)
    assert len({*theirs} | {world.new_id() for _ in range(200)}) == 210


def test_threads_that_make_ids_at_once_make_different_ones() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = [*threads.map(lambda _: [world.new_id() for _ in range(500)], range(16))]
    assert len({each for some in made for each in some}) == 8000
