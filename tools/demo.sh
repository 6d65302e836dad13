#!/bin/bash
# The main job: trains a small decoder on the embedded text, compresses it by every method, compares the
# results in one page, and writes a sample from the original and from the smallest model that is nearly as
# good. What is finished is found again, so a second run takes seconds and a stopped one goes on.
#   STEPS=N  updates of the training (1200)    RECOVER=N  of each compressed model (20)    DEMO=DIR  where all is kept
cd "$(dirname "$0")/.."
source tools/common.sh
readonly program=build/release/formwork folder=${DEMO:-demo} steps=${STEPS:-1200} margin=0.05
readonly recover=${RECOVER:-20}
readonly task=(--task text --data length=128)
readonly training=(demo-decoder "${task[@]}" --steps "$steps" --batch 16 --rate 0.003)
mkdir -p "$folder"

train_model() {
  local resume=()
  # Another course of training makes another model.
  if [ "$(cat "$folder/training.txt" 2> /dev/null)" != "${training[*]}" ]; then
    rm -rf "$folder/model"
    echo "${training[*]}" > "$folder/training.txt"
  fi
  if [ -f "$folder/model/result.json" ]; then
    say "the trained decoder is there: $folder/model"
    return
  fi
  [ ! -d "$folder/model" ] || resume=(--resume)
  say "training a small decoder on the embedded text"
  "$program" train "${training[@]}" --folder "$folder/model" "${resume[@]}"
}

sample() { "$program" generate "$1" --prompt "// The " --tokens 160 --decode sample --set temperature=0.7; }

train_model
say "compressing it by every method, and comparing"
"$program" pareto "$folder/model" "${task[@]}" --report "$folder/report.html" --keep "$folder/small" \
  --margin "$margin" --recover "$recover"
say "a sample from the original ($(stat -c %s "$folder/model/model.safetensors") bytes)"
sample "$folder/model"
say "a sample from the smallest on the front within $margin nats ($(stat -c %s "$folder/small/model.safetensors") bytes)"
sample "$folder/small"
say "the report: $(realpath "$folder/report.html")"
