# Each command sets up all it needs on a fresh Debian 12, as root, without systemd.
STATE ?= state
LISTEN ?= 127.0.0.1:8774
BENCH ?= all

.PHONY: help serve test bench wheels check house

help:
	@echo "make serve   set up this machine and run a whole cloud with real guests (STATE=$(STATE), LISTEN=$(LISTEN))"
	@echo "make test    set up this machine and run every test"
	@echo "make bench   set up this machine and print the benchmarks (BENCH=scheduler|placement|servers|host)"
	@echo "make wheels  build every distribution into dist/"
	@echo "make check   format, lint and type-check"
	@echo "make house   print the figures of the code's structure beside the wanted ones"

serve:
	@scripts/setup.sh host $(STATE)
	@exec .venv/bin/novakit serve --state $(STATE) --listen $(LISTEN) --driver libvirt --network ovs

test:
	@scripts/setup.sh test
	@exec scripts/test.sh

bench:
	@scripts/setup.sh test
	@exec .venv/bin/python -m tests.perf $(BENCH)

wheels:
	@scripts/setup.sh test
	@exec scripts/wheels.sh

check:
	@scripts/setup.sh test
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	.venv/bin/mypy

house:
	@scripts/setup.sh test
	@.venv/bin/python -m tests.house.figures
	@exec .venv/bin/python -m tests.house.spine
