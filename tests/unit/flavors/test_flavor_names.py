import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit.cli import main
from novakit.compute.flavors import names


def test_the_course_s_example_is_read():
    said = names.read("m1.nebula_micro")
    assert (said.kind, said.generation, said.family, said.size) == ("general purpose", 1, "nebula", "micro")
    assert said.rank < names.read("m1.small").rank


@given(
    st.sampled_from(sorted(names.CLASSES)),
    st.integers(0, 99),
    st.sampled_from(names.SIZES),
    st.one_of(st.none(), st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)),
)
def test_what_is_put_together_is_taken_apart_again(letter, generation, size, family):
    said = names.read(names.make(letter, generation, size, family))
    assert (said.kind, said.generation, said.size) == (names.CLASSES[letter], generation, size)
    assert said.family == family


@pytest.mark.parametrize("name", ["", "micro", "m.micro", "z1.micro", "m1.enormous", "M1.micro", "m1.a_b_micro\n"])
def test_other_names_are_refused_with_the_convention(name):
    with pytest.raises(ValueError, match=r"convention|classes are|sizes are"):
        names.read(name)


def test_the_command_says_it(capsys):
    assert main(["flavor", "name", "m1.nebula_micro"]) == 0
    assert "made for nebula, size micro" in capsys.readouterr().out
    assert main(["flavor", "name", "nonsense"]) == 1
    assert main(["flavor", "name", "--size", "large", "--format", "json"]) == 0
