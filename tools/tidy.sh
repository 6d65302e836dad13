#!/bin/bash
# tidy.sh [BASE]: runs clang-tidy on the .cpp files changed since BASE: by default where this branch left
# origin/main or, on main itself, the last commit. TIDY_SECONDS bounds the time; what it left out is said.
cd "$(dirname "$0")/.."
source tools/common.sh
readonly folder=build/release flags=build/tidy

find_base() {
  local base
  base=$(git merge-base origin/main HEAD 2> /dev/null || true)
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse -q --verify HEAD~1 || git hash-object -t tree /dev/null)
  fi
  echo "$base"
}

# clang-tidy reads the precompiled header, so its version is that of the compiler that wrote it.
find_tidy() {
  # shellcheck disable=SC2046
  first_of "${compiler/clang++/clang-tidy}" $(versions clang-tidy)
}

# Files are compiled in batches (cmake/Unity.cmake) and checked one by one, with the flags of a folder without
# batches and the precompiled headers of the one that was built.
find_flags() {
  cmake --preset release -B $flags -DFORMWORK_UNITY=OFF -DCMAKE_CXX_COMPILER="$1" > $flags.configure.log 2>&1 ||
    die "configuring $flags" "read $flags.configure.log."
  sed -i "s,$flags/,$folder/,g" $flags/compile_commands.json
}

[ -f $folder/compile_commands.json ] || die "clang-tidy needs a build" "run \`make build\` first."
compiler=$(sed -n 's/^compiler \([^,]*\),.*/\1/p' "$folder/settings.txt" 2> /dev/null || true)
tidy=$(find_tidy) || die "clang-tidy not found" "run \`make setup\`."
base=${1:-$(find_base)}
mapfile -t files < <(git diff --name-only --diff-filter=d "$base" -- 'formwork/*.cpp' 'cli/*.cpp' 'tests/*.cpp' 'bench/*.cpp')
say "clang-tidy on ${#files[@]} files changed since ${base:0:10}"
[ ${#files[@]} -gt 0 ] || exit 0
find_flags "$compiler"

check() {
  if [ "$(date +%s)" -ge "$deadline" ]; then
    echo "formwork: clang-tidy ran out of time before $1"
    return 0
  fi
  "$tidy" -p "$flags" --quiet "$1" 2> >(grep -v 'warnings generated' >&2)
}
export -f check
export tidy flags deadline=$(($(date +%s) + ${TIDY_SECONDS:-600}))
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(find_jobs)" bash -c 'check "$0"' ||
  die "clang-tidy" "mend what it reports above, or say why not with // NOLINT(check)."
