# formwork_add_libtorch(TARGET DIR): an interface target for the LibTorch in DIR (a folder with include/ and
# lib/). Used by the build and, once installed, by find_package(Formwork). LibTorch's own CMake package pulls
# in language and CUDA probes that an ordinary CPU build has no use for, so its libraries are linked directly.
function(formwork_add_libtorch target dir)
  if(NOT EXISTS "${dir}/include/ATen/ATen.h")
    message(FATAL_ERROR "LibTorch not found: expected include/ATen/ATen.h in '${dir}'. "
      "Run `make setup`, or set LIBTORCH=DIR to an existing LibTorch.")
  endif()
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE "${dir}/include" "${dir}/include/torch/csrc/api/include")
  # The wheel brings fmt's headers, which shadow the system's, and no library: formwork/core/fmt.cpp is it.
  # Full paths, so that CMake itself writes the run-time search path.
  target_link_libraries(${target} INTERFACE
    "${dir}/lib/libtorch.so" "${dir}/lib/libtorch_cpu.so" "${dir}/lib/libc10.so")
  if(EXISTS "${dir}/lib/libtorch_cuda.so")
    target_link_libraries(${target} INTERFACE
      -Wl,--no-as-needed "${dir}/lib/libtorch_cuda.so" "${dir}/lib/libc10_cuda.so")
  endif()
endfunction()
