#!/bin/bash
# test.sh PRESET [CTEST OPTION...]: runs the tests built in build/PRESET and shows the output of those that fail.
cd "$(dirname "$0")/.."
source tools/common.sh
preset=$1
shift
# Tests run side by side, each on one core, so that the machine is full but not oversubscribed.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ -z "${FORMWORK_DATA:-}" ]; then
  say "FORMWORK_DATA is not set: tests on real data sets will be skipped"
fi
if [ -z "${FORMWORK_MODELS:-}" ]; then
  say "FORMWORK_MODELS is not set: the tokenizers of real models will be left out"
fi
ctest --test-dir "build/$preset" --output-on-failure -j "${JOBS:-$(find_jobs)}" "$@" ||
  die "tests in build/$preset" "read the output above; run one again with: ctest --test-dir build/$preset -R NAME -V"
