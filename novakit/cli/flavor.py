"""`novakit flavor name`: what a flavor's name says, and how to build one that says it."""

import argparse
import json
import sys

import attrs

from novakit.compute.flavors import names

DESCRIPTION = """\
Flavor names follow a convention: class letter and generation, a dot, an optional family, the size.

  novakit flavor name m1.nebula_micro        take a name apart
  novakit flavor name --class c --generation 2 --family nebula --size large     put one together
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `novakit flavor` to the command line."""
    flavor = subparsers.add_parser("flavor", description="Read and build flavor names by the usual convention.")
    actions = flavor.add_subparsers(metavar="ACTION", required=True)
    parser = actions.add_parser(
        "name",
        help="what a flavor's name says",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="the name to take apart")
    parser.add_argument("--class", dest="letter", choices=sorted(names.CLASSES), default="m")
    parser.add_argument("--generation", type=int, default=1)
    parser.add_argument("--family", help="who the flavor is made for")
    parser.add_argument("--size", choices=names.SIZES)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(func=name)


def name(args: argparse.Namespace) -> int:
    """Print what a name says. Returns 1 when it does not follow the convention."""
    if args.name is None and args.size is None:
        print("novakit: give a name to take apart, or --size to put one together.", file=sys.stderr)
        return 2
    try:
        text = args.name or names.make(args.letter, args.generation, args.size, args.family)
        said = names.read(text)
    except ValueError as error:
        print(f"novakit: {error}", file=sys.stderr)
        return 1
    if args.format == "json":
        print(json.dumps({"name": text, **attrs.asdict(said)}))
    else:
        family = f", made for {said.family}" if said.family else ""
        print(f"{text}: {said.kind}, generation {said.generation}{family}, size {said.size}")
    return 0
