#!/bin/bash
# build.sh PRESET [TARGET...]: configures build/PRESET when needed and builds it.
cd "$(dirname "$0")/.."
source tools/common.sh
preset=$1
shift
folder=build/$preset
mkdir -p build
compiler=$(find_compiler)
settings="compiler $compiler, LibTorch ${LIBTORCH:-.venv}"

# Another compiler or LibTorch means a fresh configuration.
if [ "$(cat "$folder/settings.txt" 2> /dev/null)" != "$settings" ]; then
  rm -rf "$folder/CMakeCache.txt" "$folder/CMakeFiles"
fi
if [ ! -f "$folder/CMakeCache.txt" ] || [ ! -f "$folder/build.ninja" ]; then
  say "configuring $folder ($settings)"
  cmake --preset "$preset" -DCMAKE_CXX_COMPILER="$compiler" > "$folder.configure.log" 2>&1 || {
    tail -30 "$folder.configure.log" >&2
    die "configuring $folder" "read the message above (all of it: $folder.configure.log); \`make setup\` installs what is missing."
  }
  echo "$settings" > "$folder/settings.txt"
fi
ninja -C "$folder" -j "${JOBS:-$(find_jobs)}" "$@" ||
  die "building $folder" "read the first error above; \`make clean\` starts over."
