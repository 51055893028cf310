# make demo   sets up .venv, then the whole road on a generated data set
# make test   the tests
# make test-avx2  tests of the network as without AVX-512, and of the kernels also without AVX2
# make test-web  the tests of `frcnn report` in headless Chromium, which it installs
# make results-quick  the shortest of docs/results.md, on the VOC data under FRCNN_DATA: half an hour
# make results  all of its comparisons: hours
# make test-hostile  bad input, fuzzing, killed processes, full disks
# make test-long  what takes minutes: load, every way to stop
# make test-random  the tests in random order
# make coverage  branch coverage of the engine, the proposals and the commands
# make fuzz  every reader under atheris, for SECONDS in all
# make reference  docs/commands.md, from the commands themselves
# make wheel  dist/*.whl, which installs without a compiler
# make test-abi  the same wheel beside two releases of torch
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FRCNN := $(BIN)/frcnn
DEMO := demo
RESULTS ?= results
# One process a core, of one thread: much of a test is waiting for a child.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder

FUZZED ?= fuzzed
SECONDS ?= 600

.PHONY: setup demo test results-quick results reference test-avx2 test-web test-hostile test-long test-random coverage fuzz lint wheel test-abi clean

setup: $(VENV)/.ready

# Torch first: the extension is built against the torch that it will run with.
$(VENV)/.torch: setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet torch torchvision
	touch $@

$(VENV)/.ready: $(VENV)/.torch setup.py setup.cfg pyproject.toml $(shell find kernels/csrc -type f)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	touch $@

# Generate, propose, train, evaluate, compress, detect. Everything lies in $(DEMO)/ afterwards.
# The smallest network is enough for shapes.
demo: setup
	rm -rf $(DEMO)
	$(FRCNN) data generate $(DEMO)/shapes --images 400
	$(FRCNN) propose $(DEMO)/shapes/JPEGImages --out $(DEMO)/shapes.proposals
	$(FRCNN) train $(DEMO)/shapes --proposals $(DEMO)/shapes.proposals \
		--backbone efficientnet_lite0 --scale 240 --iterations 600 --out $(DEMO)/runs/shapes
	$(FRCNN) eval $(DEMO)/runs/shapes --proposals $(DEMO)/shapes.proposals \
		--json $(DEMO)/eval.json --require-map 0.80
	$(FRCNN) compress $(DEMO)/runs/shapes $(DEMO)/shapes --svd-rank 256 \
		--proposals $(DEMO)/shapes.proposals
	$(FRCNN) detect $$(ls -d $(DEMO)/shapes/JPEGImages/*.jpg | tail -n 12) --viz \
		--runs $(DEMO)/runs --out $(DEMO)/detections --json $(DEMO)/detections.json
	@echo "The pictures are in $(DEMO)/detections, the model is $(DEMO)/runs/shapes/model.safetensors"

test: setup
	$(PYTEST)

# oneDNN, ATen and our kernels each have a switch that hides the newer instructions.
test-avx2: setup
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 FRCNN_ISA=avx2 $(PYTEST) -q \
		tests/kernels tests/engine/network tests/engine/detection tests/engine/training \
		tests/engine/compression tests/commands/bench tests/commands/shared
	FRCNN_ISA=baseline $(PYTEST) -q tests/kernels tests/proposals/sources

test-hostile: setup
	$(BIN)/python -m pytest -m hostile

test-long: setup
	$(BIN)/python -m pytest -m long

test-random: setup
	$(BIN)/python -m pytest --random-order

coverage: setup
	$(PYTEST) -q --cov --cov-branch --cov-report=term:skip-covered
	rm -f .coverage.*  # of children that were killed
	for part in src/frcnn_cli/engine proposals/frcnn_proposals src/frcnn_cli/commands; do \
		echo "$$part:" && \
		$(BIN)/python -m coverage report --include="*/$$part/*" --format=total --fail-under=95 || \
		exit 1; \
	done

fuzz: setup
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[fuzz]'
	$(BIN)/python tests/hostile/fuzz.py $(SECONDS) $(FUZZED)

# As root, or through sudo. The packages are Debian's; others install chromium, chromedriver and the
# fonts. Newer Debians have the last two fonts in packages of their own.
WEB_FONTS := DejaVu\ Sans DejaVu\ Sans\ Mono DejaVu\ Serif Liberation\ Sans\ Narrow
test-web: setup
	( command -v chromium && command -v chromedriver && for font in $(WEB_FONTS); do \
		fc-list : family | tr , '\n' | grep -x "$$font" || exit 1; done ) >/dev/null 2>&1 || { \
		run=$$(test $$(id -u) = 0 || echo sudo); \
		$$run apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$run apt-get install -qq --no-install-recommends \
			chromium chromium-driver fontconfig fonts-dejavu fonts-liberation \
			$$(apt-cache pkgnames fonts-dejavu-mono; \
				apt-cache pkgnames fonts-liberation-sans-narrow) >/dev/null; }
	FRCNN_WEB=1 $(BIN)/python -m pytest -m web tests/web

results-quick results: setup
	FRCNN=$(FRCNN) docs/results/comparisons.sh $@ $(RESULTS)
	$(BIN)/python docs/results/table.py $(RESULTS)

# The page of all commands, from the commands themselves.
reference: setup
	$(BIN)/python -m frcnn_cli.reference docs/commands.md

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

wheel: setup
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

test-abi: wheel
	kernels/test_abi.sh dist/frcnn-*.whl

clean:
	rm -rf build dist $(DEMO) $(FUZZED)
