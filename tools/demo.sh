#!/bin/bash
# The main job: trains a small decoder on the embedded text, compresses it by every method, compares all
# results in one table and one page, and writes a sample from the original and from the best small model.
cd "$(dirname "$0")/.."
source tools/common.sh
readonly program=build/release/formwork
mkdir -p demo

say "training a small decoder on the embedded text"
$program train demo-decoder --task text --out demo/model
say "compressing it by every method and comparing"
$program pareto demo/model --task text --methods all --report demo/report.html --out demo/pareto
say "a sample from the original"
$program generate demo/model --prompt "// The " --tokens 200
say "a sample from the best small model"
$program generate demo/pareto/best --prompt "// The " --tokens 200
say "the report: $PWD/demo/report.html"
