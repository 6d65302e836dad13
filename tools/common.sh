# Shared by the scripts in tools/: messages, the compiler, the number of jobs. Source it from the repository root.
set -euo pipefail

say() { printf 'formwork: %s\n' "$*"; }

# die WHAT ADVICE: the step that failed, and what to do about it.
die() {
  printf 'formwork: FAILED: %s\nformwork: what to do: %s\n' "$1" "$2" >&2
  exit 1
}

# first_of COMMAND...: the first command that exists; nothing when none does.
first_of() {
  local name
  for name in "$@"; do
    if command -v "$name" > /dev/null; then
      echo "$name"
      return 0
    fi
  done
  return 1
}

# versions NAME: NAME, then NAME-19 to NAME-14, as Debian names its LLVM programs.
versions() { echo "$1" "$1"-{19..14}; }

# The C++ compiler: $CXX, else clang++ (fastest with the precompiled header), else g++.
find_compiler() {
  # shellcheck disable=SC2046
  first_of ${CXX:-} $(versions clang++) g++ || die "no C++ compiler found" "run \`make setup\`, or set CXX."
}

# Parallel jobs: one a core, but no more than memory allows at 1.5 GiB a compilation.
find_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo)
  echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
}
