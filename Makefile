# make run    sets everything up, builds, and shows Rondo balancing three backends (ARGS=--once: then stops)
# make test   sets everything up, builds, and runs every test
# make bench  sets everything up and puts Rondo beside nginx and HAProxy under the same load, in one run (docs/benchmarks.md)
BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS = -G Ninja -DCMAKE_BUILD_TYPE=Release

.PHONY: run test setup setup-run bench clean

setup:
	@.ci/setup test
setup-run:
	@.ci/setup run

$(BUILD)/rondo: setup-run FORCE
	@cmake -S . -B $(BUILD) $(CMAKE_FLAGS) -DRONDO_TESTS=OFF > /dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target rondo
FORCE:

run: $(BUILD)/rondo
	@conf/demo.sh $(BUILD)/rondo $(ARGS)

test: setup
	@tests/run.sh

bench: $(BUILD)/rondo
	@.ci/setup bench
	@bench/run

clean:
	rm -rf build build-*
