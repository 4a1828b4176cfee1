"""`python -m tests.fuzz`: a whole cloud in this process, and so many requests that mean no good."""

import argparse
import asyncio
import random
import sys
from contextlib import nullcontext
from pathlib import Path

from tests.fuzz.drive import directory, fuzz, replayed, target
from tests.fuzz.requests import Drawing
from tests.support.postgres import cluster_of_its_own


async def run(args: argparse.Namespace) -> int:
    """Fuzz, or replay one request; 1 where something was answered 5xx."""
    with directory() as place:
        async with target(Path(place), args.database, through_socket=args.socket) as service:
            if args.replay:
                answer = await service.send(replayed(args.replay))
                print(answer.status, answer.body[:2000])
                print((Path(place) / "state" / "novakit.log").read_text()[-4000:])
                return int(answer.status >= 500)
            drawing = Drawing(random.Random(args.seed))
            statuses, failures = await fuzz(service, drawing, args.requests, say=lambda text: print(text, flush=True))
            print(f"seed {args.seed}: {args.requests} requests, {dict(sorted(statuses.items()))}")
            for failure in failures:
                print(failure.told(service.tokens))
            if args.log:
                Path(args.log).write_bytes((Path(place) / "state" / "novakit.log").read_bytes())
            return int(bool(failures))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--database", help="URL of an empty PostgreSQL database; SQLite without it")
    parser.add_argument("--postgresql", action="store_true", help="on a PostgreSQL cluster of its own")
    parser.add_argument("--socket", action="store_true", help="through a socket, and not past it")
    parser.add_argument("--replay", metavar="LINE", help="send one request that failed again")
    parser.add_argument("--log", metavar="FILE", help="keep the service's log here")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with cluster_of_its_own() if args.postgresql else nullcontext() as cluster:
        if cluster is not None:
            args.database = cluster.database()
        code = asyncio.run(run(args))
    sys.exit(code)


if __name__ == "__main__":
    main()
