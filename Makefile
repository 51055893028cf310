# make setup          create .venv and install everything
# make demo           set up .venv, detect in a photograph, and run the complete workflow on a
#                     generated dataset
# make test           run the tests
# make test-avx2      test the network without AVX-512, and the kernels also without AVX2
# make test-web       test the pages of `frcnn report` and `frcnn explain` in headless Chromium,
#                     which it installs
# make results-quick  run the shortest comparison of docs/results.md, on the VOC data in FRCNN_DATA:
#                     half an hour
# make results        run four comparisons of docs/results.md with 3,000 iterations and two seeds: hours
# make results-others run the other comparisons of docs/results.md: hours
# make pictures       draw the detections of MODEL on the photographs of the README
# make results-pictures  draw the pictures of docs/results.md with MODEL, on the VOC data in FRCNN_DATA
# make test-hostile   test bad input, fuzzing, killed processes, full disks
# make test-long      test what takes minutes: load, every way to stop
# make test-random    run the tests in random order
# make coverage       measure the branch coverage of the engine, the proposals and the commands
# make fuzz           fuzz every reader with atheris, for SECONDS in total
# make reference      generate docs/commands.md, and the tables of docs/models.md
# make style          run ruff and mypy
# make docs           build the documentation site in site/, which needs no network
# make lint           run style and docs
# make wheel          build wheels in dist/, which install without a compiler, and the source
#                     distribution
# make test-install   install each of them in an empty virtual environment, and run seven commands;
#                     TORCH='torch==2.13.0+cpu torchvision' selects a torch
# make test-portable  compile the operators with GCC and Clang, and for ARM and macOS; test the builds
#                     that run here, ARM's under qemu-user
# make test-cuda      test the CUDA operators, detection and copies on the GPU of this machine; time the
#                     operators next to torchvision's, and detection next to standard parts
# make test-sanitizer run the tests of the CUDA operators under NVIDIA's compute-sanitizer
# make test-abi       test the wheel with the oldest supported torch and the newest one
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FRCNN := $(BIN)/frcnn
DEMO := demo
PHOTO := docs/images/photos/hopper.jpg
RESULTS ?= results
# One single-threaded process per core: tests spend much time waiting for child processes.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder

FUZZED ?= fuzzed
SECONDS ?= 600

.PHONY: setup demo test results-quick results results-others pictures results-pictures reference test-avx2 test-web test-hostile test-long test-random coverage fuzz style docs lint wheel test-install test-portable test-cuda test-sanitizer test-abi clean

# If pip fails, as after an interrupted download, it is run once more after 30 seconds.
retry = $(1) || { sleep 30; $(1); }
PIP_INSTALL := $(BIN)/python -m pip install --quiet

setup: $(VENV)/.ready

# torch is installed first, because the extension is built against the torch it will run with.
$(VENV)/.torch: setup.cfg
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call retry,$(PIP_INSTALL) --upgrade pip setuptools wheel)
	$(call retry,$(PIP_INSTALL) torch torchvision)
	touch $@

$(VENV)/.ready: $(VENV)/.torch setup.py setup.cfg pyproject.toml $(shell find kernels/csrc -type f)
	$(call retry,$(PIP_INSTALL) --no-build-isolation --editable '.[dev]')
	touch $@

# Detect in a photograph with the shipped model; then generate, propose, train, evaluate, compress,
# detect and explain. All results are in $(DEMO)/. The smallest network is sufficient for shapes.
demo: setup
	rm -rf $(DEMO)
	$(FRCNN) detect $(PHOTO) --model voc --viz --out $(DEMO)/photo
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
	$(FRCNN) explain $(PHOTO) --model voc --out $(DEMO)/explain
	@echo "Annotated images: $(DEMO)/detections; model: $(DEMO)/runs/shapes/model.safetensors"
	@echo "What the shipped model does in a photograph: $(DEMO)/explain/index.html"

test: setup
	$(PYTEST)

# oneDNN, ATen and the kernels each have a variable that disables newer instructions.
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
	rm -f .coverage.*  # files of child processes that were killed
	for part in src/frcnn_cli/engine src/frcnn_cli/api proposals/frcnn_proposals src/frcnn_cli/commands; do \
		echo "$$part:" && \
		$(BIN)/python -m coverage report --include="*/$$part/*" --format=total --fail-under=95 || \
		exit 1; \
	done

fuzz: setup
	$(call retry,$(PIP_INSTALL) --no-build-isolation --editable '.[fuzz]')
	$(BIN)/python tests/hostile/fuzz.py $(SECONDS) $(FUZZED)

# Run as root, or with sudo. These are Debian's packages; on other systems install chromium,
# chromedriver and the fonts first. Newer Debian releases have separate packages for the last two
# fonts.
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

results-quick results results-others: setup
	FRCNN=$(FRCNN) docs/results/comparisons.sh $@ $(RESULTS)
	$(BIN)/python docs/results/table.py $(RESULTS)

# Photographs: docs/images/photos. MODEL is a file, or a run by its folder or name.
pictures: setup
	@test -n "$(MODEL)" || { echo "Name a model of VOC's classes: make $@ MODEL=runs/NAME"; exit 1; }
	$(BIN)/python docs/results/photos.py $(MODEL) docs/images/detections.jpg

results-pictures: setup
	@test -n "$(MODEL)" || { echo "Name a model of VOC's classes: make $@ MODEL=runs/NAME"; exit 1; }
	mkdir -p $(RESULTS)
	$(FRCNN) eval $(MODEL) voc2007 --split test --source selective-search \
		--save-detections $(RESULTS)/found.json
	$(FRCNN) report $(MODEL) --dataset voc2007 --split test \
		--detections $(RESULTS)/found.json --out $(RESULTS)/report
	cp $(RESULTS)/report/precision-recall.png docs/images/voc-precision-recall.png
	cp $(RESULTS)/report/training-loss.png docs/images/voc-loss.png
	$(BIN)/python docs/results/detections.py $(RESULTS)/found.json voc2007 test \
		docs/images/voc-detections.png

# docs/commands.md documents all commands. It is generated from the commands.
reference: setup
	$(BIN)/python -m frcnn_cli.reference docs/commands.md docs/models.md

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The variable hides an advertisement of the theme. Broken links and anchors are errors.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html"

lint: style docs

wheel: setup
	PYTHON=$(BIN)/python kernels/build_wheels.sh

test-install: wheel
	$(BIN)/python tests/installation/install.py dist/frcnn-* $(if $(TORCH),--torch $(TORCH))

# The last wheel contains the CUDA operators, if there is a CUDA toolkit.
test-abi: wheel
	PYTHON=$(BIN)/python kernels/test_abi.sh $$(ls dist/frcnn-*.whl | tail -n 1)

# Needs g++-aarch64-linux-gnu, qemu-user and clang (Debian's names); skips what is missing.
test-portable: setup
	PYTHON=$(BIN)/python kernels/test_portable.sh

# The tests that run on a GPU have "cuda" in their names; all others need none.
CUDA_TESTS := $(BIN)/python -m pytest -q -p no:cacheprovider tests/kernels
CUDA_COPIES := tests/engine/distributed/test_streams.py tests/engine/detection/test_images_ahead.py \
	tests/engine/training/test_copies_ahead.py
HAS_GPU := $(BIN)/python -c 'import sys, torch, frcnn_kernels; \
	sys.exit(0 if torch.cuda.is_available() and frcnn_kernels.cuda_architectures() else \
	"There is no GPU, or the CUDA operators were not built: `frcnn doctor` says which.")'

test-cuda: setup
	$(HAS_GPU)
	-$(FRCNN) doctor  # its other problems do not prevent the tests
	$(CUDA_TESTS) $(CUDA_COPIES) -m "not hostile" -k "cuda and not emulat"
	$(FRCNN) bench roi-pool --device cuda
	$(FRCNN) bench nms --device cuda
	$(FRCNN) bench detect --device cuda

# Without torch's cache of memory, so that an access outside of a tensor is outside of its allocation.
SANITIZER ?= compute-sanitizer
test-sanitizer: setup
	@command -v $(SANITIZER) >/dev/null || { echo "$(SANITIZER) is not installed: it is part of the \
	CUDA toolkit, or NVIDIA's package cuda-sanitizer-13-0 (the version of the toolkit)"; exit 1; }
	$(HAS_GPU)
	for tool in memcheck racecheck synccheck; do \
		PYTORCH_NO_CUDA_MEMORY_CACHING=1 $(SANITIZER) --tool $$tool --error-exitcode 1 \
			$(CUDA_TESTS) -k "cuda and not emulat and not compile and not export and not graph" || exit 1; \
	done

clean:
	rm -rf build dist site $(DEMO) $(FUZZED)
