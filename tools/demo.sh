#!/bin/bash
# The main job: trains a small decoder on the embedded text, compresses it, measures every result on the same
# evaluation samples, and writes a sample from the original.
cd "$(dirname "$0")/.."
source tools/common.sh
readonly program=build/release/formwork
mkdir -p demo

say "training a small decoder on the embedded text"
$program train demo-decoder --task text --data length=128 --steps 300 --batch 16 --rate 0.003 --folder demo/model
say "compressing it, and comparing"
$program pareto demo/model --task text --data length=128 --report demo/report.html
say "a sample from the original"
$program generate demo/model --prompt "// The " --tokens 200
say "the report: $PWD/demo/report.html"
