#!/bin/bash
# setup.sh [sanitizers]: installs what is missing: Debian packages through apt-get, LibTorch from the torch wheel and
# what the tests compare with into .venv; for builds with sanitizers also clang's run-time libraries.
# With nothing missing it only looks, and takes well under a second. LIBTORCH=DIR uses an existing LibTorch.
cd "$(dirname "$0")/.."
source tools/common.sh
readonly torch_version=2.13.0
# The tests compare with these; without them those tests say that they were skipped.
readonly test_packages=(numpy==2.4.6 safetensors==0.8.0 transformers==5.24.0 sentencepiece==0.2.3 tiktoken==0.14.0)

# Each line: a Debian package, then programs of which any one makes it unnecessary.
wanted() {
  cat << END
clang $(versions clang++)
lld $(versions ld.lld)
clang-format $(versions clang-format)
clang-tidy $(versions clang-tidy)
g++ g++
ccache ccache
cmake cmake
ninja-build ninja
git git
qemu-user qemu-x86_64
libhwy-dev
nlohmann-json3-dev
libcli11-dev
libgtest-dev
zlib1g-dev
libjpeg-dev
libpng-dev
libutf8proc-dev
libpcre2-dev
END
}

missing_packages() {
  local installed package programs
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2> /dev/null | sed -n 's/^installed //p')
  while read -r package programs; do
    # shellcheck disable=SC2086
    first_of $programs > /dev/null && continue
    grep -qx "$package" <<< "$installed" || echo "$package"
  done < <(wanted)
  if [ -z "${LIBTORCH:-}" ] && ! python3 -c 'import ensurepip, venv' 2> /dev/null; then
    echo python3-venv
  fi
}

# Debian keeps clang's sanitizers in a package of their own; g++ brings its own.
missing_sanitizers() {
  local compiler
  compiler=$(find_compiler)
  [[ "$("$compiler" --version)" == *clang* ]] || return 0
  compgen -G "$("$compiler" -print-runtime-dir)/libclang_rt.asan*" > /dev/null ||
    compgen -G "$("$compiler" -print-resource-dir)/lib/linux/libclang_rt.asan*" > /dev/null ||
    echo "libclang-rt-$("$compiler" -dumpversion | cut -d. -f1)-dev"
}

install_packages() {
  local packages="$1" root=""
  command -v apt-get > /dev/null ||
    die "these Debian packages are missing and there is no apt-get: $packages" \
      "install their equivalents (clang or g++, cmake, ninja, Highway, nlohmann-json, CLI11, GoogleTest, zlib, libjpeg, libpng, utf8proc, PCRE2)."
  if [ "$(id -u)" -ne 0 ]; then
    root=$(command -v sudo) ||
      die "installing $packages needs root, and there is no sudo" "as root: apt-get install $packages"
  fi
  say "installing: $packages"
  export DEBIAN_FRONTEND=noninteractive
  $root apt-get update -q || say "apt-get update failed; trying with the package lists there are"
  # shellcheck disable=SC2086
  $root apt-get install -y -q --no-install-recommends $packages ||
    die "apt-get install $packages" "check the network and the package sources, then run it by hand."
}

install_libtorch() {
  if [ -n "${LIBTORCH:-}" ]; then
    [ -f "$LIBTORCH/include/ATen/ATen.h" ] ||
      die "LIBTORCH=$LIBTORCH has no include/ATen/ATen.h" \
        "name the folder that holds LibTorch's include/ and lib/, or unset LIBTORCH."
    return
  fi
  # pip writes RECORD last, so an interrupted installation is seen and done again.
  compgen -G ".venv/lib/python3*/site-packages/torch-$torch_version*.dist-info/RECORD" > /dev/null && return
  say "installing LibTorch $torch_version into .venv (from the torch wheel)"
  [ -x .venv/bin/pip ] || python3 -m venv .venv ||
    die "python3 -m venv .venv" "install python3-venv, remove .venv and try again."
  .venv/bin/pip install --progress-bar off "torch==$torch_version" ||
    die "pip install torch==$torch_version" \
      "check the network and disk space, or set LIBTORCH=DIR to an existing LibTorch $torch_version."
}

install_test_packages() {
  [ -z "${LIBTORCH:-}" ] || return 0  # no .venv of ours
  local package name
  for package in "${test_packages[@]}"; do
    name=${package%%==*}
    compgen -G ".venv/lib/python3*/site-packages/$name-${package##*==}.dist-info/RECORD" > /dev/null && continue
    say "installing ${test_packages[*]} into .venv, for tests"
    .venv/bin/pip install --progress-bar off "${test_packages[@]}" ||
      say "pip install ${test_packages[*]} failed: tests that compare with transformers will be skipped"
    return
  done
}

missing=$(missing_packages | xargs)
[ -z "$missing" ] || install_packages "$missing"
if [ "${1:-}" = sanitizers ]; then
  missing=$(missing_sanitizers)
  [ -z "$missing" ] || install_packages "$missing"
fi
install_libtorch
install_test_packages
