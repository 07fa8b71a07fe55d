#!/bin/sh
# Builds and runs every test: the real program and the simulations as they are shipped (Release); everything, units
# too, under the address and undefined sanitizers; and under the thread sanitizer what runs on several threads. Ends
# with the sum of all three.
set -u
cd "$(dirname "$0")/.." || exit 1
jobs=2
passed=0
failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

# stage NAME FOLDER TESTS TARGETS [cmake options]: configures, builds, runs; the counts are added up. SKIP: tests that
# are left out.
SKIP='^$'
stage() {
  name=$1 folder=$2 tests=$3 targets=$4
  shift 4
  echo "== $name"
  cmake -S . -B "$folder" -G Ninja "$@" > "$log" 2>&1 || { cat "$log"; echo "$name: cmake failed"; failed=$((failed + 1)); return; }
  # shellcheck disable=SC2086  # a list of targets
  cmake --build "$folder" -j $jobs --target $targets > "$log" 2>&1 || { tail -n 60 "$log"; echo "$name: build failed"; failed=$((failed + 1)); return; }
  ctest --test-dir "$folder" -j $jobs --output-on-failure -R "$tests" -E "$SKIP" 2>&1 | tee "$log"
  bad=$(sed -n 's/^.* tests passed, \([0-9]*\) tests failed out of .*/\1/p' "$log")
  all=$(sed -n 's/^.* tests failed out of \([0-9]*\).*/\1/p' "$log")
  if [ -z "$all" ]; then
    echo "$name: no tests were run"
    failed=$((failed + 1))
    return
  fi
  failed=$((failed + bad))
  passed=$((passed + all - bad))
}

# Several workers, mailboxes, shared counters, the log writer's thread; changes while traffic flows.
threaded='^(rt|io|metrics|upstream|proxy|control)_test$|^e2e_(keepalive|balance|upgrade|access_log|process|scaling|http2_scaling)_'
threaded_targets="rondo rt_test io_test metrics_test upstream_test proxy_test control_test"

# Compiled in groups of files: a build from nothing takes half the time.
unity="-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=6"
# Lines are all that a sanitizer's report needs.
debug="-O1 -g1 -fno-omit-frame-pointer -DRONDO_DEBUG_CHECKS=1"
# shellcheck disable=SC2086
stage "release" build-release '^e2e_|_sim_' \
  "rondo proxy_sim_test proxy_http2_sim_test queue_sim_test health_sim_test cluster_sim_test" -DCMAKE_BUILD_TYPE=Release -DRONDO_TESTS=ON $unity
# A browser and testssl.sh find the same in every build.
SKIP='^e2e_(browser|tls_audit)_'
# shellcheck disable=SC2086
stage "address and undefined sanitizers" build-address . all -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_CXX_FLAGS_DEBUG=$debug" \
  -DRONDO_SANITIZE=address $unity
# shellcheck disable=SC2086
stage "thread sanitizer" build-thread "$threaded" "$threaded_targets" -DCMAKE_BUILD_TYPE=Debug \
  "-DCMAKE_CXX_FLAGS_DEBUG=$debug" -DRONDO_SANITIZE=thread $unity

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
