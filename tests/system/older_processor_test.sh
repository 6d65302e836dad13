#!/bin/bash
# Runs on an emulated Nehalem (2008: x86-64-v2, no AVX): an instruction that is not there ends the program.
set -euo pipefail
emulate=("$QEMU" -cpu Nehalem)
"${emulate[@]}" "$BUILD/test_core"
