#!/bin/bash
# Installs into a fresh prefix, builds examples/ against it with find_package(Formwork), and runs each one.
set -euo pipefail
prefix=$BUILD/system/prefix
examples=$BUILD/system/examples
rm -rf "$prefix"

cmake --install "$BUILD" --prefix "$prefix" > "$BUILD/system.install.log"
[ -f "$prefix/include/formwork/core/error.h" ] || { echo "no headers in $prefix"; exit 1; }
[ ! -f "$BUILD/formwork" ] || "$prefix/bin/formwork" --help > /dev/null

# Nothing but the prefix may be needed: neither the build folder's environment nor its library.
unset LIBTORCH
cmake -S "$EXAMPLES" -B "$examples" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$CXX" \
  ${LAUNCHER:+-DCMAKE_CXX_COMPILER_LAUNCHER="$LAUNCHER"} > "$BUILD/system.examples.log"
cmake --build "$examples"

ran=0
for source in "$EXAMPLES"/*.cpp; do
  name=$(basename "$source" .cpp)
  echo "--- $name"
  (cd "$BUILD/system" && "$examples/$name")
  ran=$((ran + 1))
done
[ $ran -gt 0 ] || { echo "no example was run"; exit 1; }
