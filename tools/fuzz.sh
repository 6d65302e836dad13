#!/bin/bash
# fuzz.sh [SECONDS]: runs every fuzz target so long (10 by default), from the seeds in fuzz/seeds/NAME and with
# what earlier runs found in build/fuzz/corpus. A crash leaves its input in build/fuzz and fails.
cd "$(dirname "$0")/.."
source tools/common.sh
seconds=${1:-10}
tools/build.sh fuzz fuzz
failed=()
for source in fuzz/*.cpp; do
  name=$(basename "$source" .cpp)
  [ "$name" != entry ] || continue
  corpus=build/fuzz/corpus/$name
  mkdir -p "$corpus"
  seeds=()
  [ ! -d "fuzz/seeds/$name" ] || seeds=("fuzz/seeds/$name")
  if build/fuzz/fuzz_"$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix=build/fuzz/"$name"- "$corpus" "${seeds[@]}" > build/fuzz/"$name".log 2>&1; then
    say "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/"$name".log) inputs, no defect"
  else
    tail -30 build/fuzz/"$name".log
    failed+=("$name")
  fi
done
[ ${#failed[@]} -eq 0 ] || die "fuzzing: ${failed[*]}" "the inputs are build/fuzz/NAME-*; give one to build/fuzz/fuzz_NAME."
