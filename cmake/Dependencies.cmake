# LibTorch comes from the torch wheel (or LIBTORCH=DIR). Its own CMake package pulls in
# language and CUDA probes that an ordinary CPU build has no use for, so it is linked directly.
set(LIBTORCH "$ENV{LIBTORCH}" CACHE PATH "LibTorch: a folder with include/ and lib/")
if(NOT LIBTORCH)
  file(GLOB wheel ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  set(LIBTORCH "${wheel}")
endif()
if(NOT EXISTS ${LIBTORCH}/include/ATen/ATen.h)
  message(FATAL_ERROR "LibTorch not found: expected include/ATen/ATen.h in '${LIBTORCH}'. "
    "Run `make setup`, or set LIBTORCH=DIR to an existing LibTorch.")
endif()
add_library(formwork_torch INTERFACE)
target_include_directories(formwork_torch SYSTEM INTERFACE
  ${LIBTORCH}/include ${LIBTORCH}/include/torch/csrc/api/include)
target_link_directories(formwork_torch INTERFACE ${LIBTORCH}/lib)
# The wheel brings fmt's headers; they shadow the system's, so its header-only form is used.
target_compile_definitions(formwork_torch INTERFACE FMT_HEADER_ONLY=1)
target_link_libraries(formwork_torch INTERFACE torch torch_cpu c10)
target_link_options(formwork_torch INTERFACE -Wl,-rpath,${LIBTORCH}/lib)
if(EXISTS ${LIBTORCH}/lib/libtorch_cuda.so)
  target_link_libraries(formwork_torch INTERFACE -Wl,--no-as-needed torch_cuda c10_cuda)
endif()

find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_library(HWY_LIBRARY hwy REQUIRED)
add_library(hwy INTERFACE)
target_link_libraries(hwy INTERFACE ${HWY_LIBRARY})
