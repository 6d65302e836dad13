#!/bin/bash
# format.sh [--check]: formats every C++ file that git knows with clang-format; --check only reports.
cd "$(dirname "$0")/.."
source tools/common.sh
# Version 14 is the one the tree is formatted with; others differ in details.
# shellcheck disable=SC2046
formatter=$(first_of clang-format-14 $(versions clang-format)) ||
  die "clang-format not found" "run \`make setup\`."
mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run -Werror)
git ls-files -z '*.cpp' '*.h' | xargs -0 -r -n 50 -P "$(find_jobs)" "$formatter" "${mode[@]}" ||
  die "the files above are not formatted" "run \`make format\` and commit."
