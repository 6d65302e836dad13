# formwork-runtime: what ships. A static library that knows no LibTorch, and formwork-run, one static binary.
# It is compiled without LibTorch's folders, so that none can creep in; the full program takes it in whole.

# The wheel's {fmt} headers alone: a link to its folder in a place of its own.
set(FORMWORK_FMT ${CMAKE_BINARY_DIR}/fmt_headers)
file(MAKE_DIRECTORY ${FORMWORK_FMT})
file(CREATE_LINK ${LIBTORCH}/include/fmt ${FORMWORK_FMT}/fmt SYMBOLIC)

file(GLOB_RECURSE FORMWORK_RUNTIME_SOURCES CONFIGURE_DEPENDS formwork/runtime/*.cpp formwork/text/*.cpp
  formwork/kernels/cpu/amx_tiles.cpp formwork/kernels/cpu/float_product.cpp formwork/kernels/cpu/ggml*.cpp
  formwork/kernels/cpu/int4*.cpp formwork/kernels/cpu/int8*.cpp formwork/kernels/cpu/parallel*.cpp)
foreach(name cached_attention dual_scan elementwise few_rows norm_rms rotary selective_scan)
  list(APPEND FORMWORK_RUNTIME_SOURCES formwork/kernels/cpu/${name}.cpp)
endforeach()
foreach(name axis error factory file fmt json json_text name_hash options raw sources spec wildcard)
  list(APPEND FORMWORK_RUNTIME_SOURCES formwork/core/${name}.cpp)
endforeach()
# The readers of models; their writers know LibTorch.
foreach(name companions gguf_architectures gguf_cursor gguf_file gguf_format gguf_header gguf_tokenizer
    hugging_face_format model_format raw_layout safetensors_file safetensors_header safetensors_sax safetensors_shards
    sentence_transformers)
  list(APPEND FORMWORK_RUNTIME_SOURCES formwork/interop/${name}.cpp)
endforeach()
file(GLOB families CONFIGURE_DEPENDS formwork/interop/families/*.cpp)
list(APPEND FORMWORK_RUNTIME_SOURCES ${families}
  formwork/linear/quantized/int8_options.cpp formwork/models/tower_options.cpp
  formwork/positions/rotary_scaling.cpp)

list(TRANSFORM FORMWORK_RUNTIME_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ REGEX "^formwork/")
# What stands in for shared libraries belongs to static programs alone.
set(FORMWORK_STATIC_SOURCES ${FORMWORK_RUNTIME_SOURCES})
list(FILTER FORMWORK_STATIC_SOURCES INCLUDE REGEX "/runtime/static/")
list(FILTER FORMWORK_RUNTIME_SOURCES EXCLUDE REGEX "/runtime/static/")

add_library(formwork-runtime STATIC ${FORMWORK_RUNTIME_SOURCES})
target_include_directories(formwork-runtime PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_include_directories(formwork-runtime SYSTEM PUBLIC ${FORMWORK_FMT})
# By name, so that a static program finds the static ones.
target_link_libraries(formwork-runtime PUBLIC nlohmann_json::nlohmann_json Threads::Threads utf8proc pcre2-8)
target_compile_options(formwork-runtime PRIVATE -ffunction-sections -fdata-sections)
target_precompile_headers(formwork-runtime PRIVATE formwork/runtime/precompiled.h)
formwork_unity(formwork-runtime ${FORMWORK_RUNTIME_SOURCES})

# Highway's choice of a target, which Debian ships as a shared library only.
add_library(formwork-runtime-highway STATIC ${FORMWORK_STATIC_SOURCES})

# Parts register themselves, so a program must take the whole library in and then drop what nothing reaches.
add_library(formwork_runtime_whole INTERFACE)
target_link_libraries(formwork_runtime_whole INTERFACE
  -Wl,--whole-archive formwork-runtime -Wl,--no-whole-archive formwork-runtime-highway -Wl,--gc-sections)
target_include_directories(formwork_runtime_whole INTERFACE ${CMAKE_CURRENT_SOURCE_DIR})

add_executable(formwork-run cli/run/formwork_run.cpp cli/usage.cpp)
target_link_libraries(formwork-run PRIVATE formwork_runtime_whole CLI11::CLI11)
target_include_directories(formwork-run SYSTEM PRIVATE ${FORMWORK_FMT})
if(NOT FORMWORK_SANITIZE)
  target_link_options(formwork-run PRIVATE -static)
endif()

if(FORMWORK_TESTS)
  add_executable(example_c examples/decode.c)
  set_target_properties(example_c PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(example_c PRIVATE formwork_runtime_whole)
endif()
