#!/bin/bash
# Runs on an emulated Nehalem (2008: x86-64-v2, no AVX): an instruction that is not there ends the program.
set -euo pipefail
emulate=("$QEMU" -cpu Nehalem)
for room in core kernels models; do
  "${emulate[@]}" "$BUILD/test_$room" --gtest_brief=1
done
if [ -x "$BUILD/formwork" ]; then
  "${emulate[@]}" "$BUILD/formwork" list mixers
fi
