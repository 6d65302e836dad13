# Files that the library carries, joined at build time and taken in by the assembler: the default text (the
# project's own sources and documents), the table of systems, their
# recorded runs and the built-in Specs. A changed file joins its
# text anew (milliseconds) and compiles nothing but a three-line file.
if(CMAKE_SCRIPT_MODE_FILE)
  # Script mode: ROOT, LIST (a file of relative paths, one a line), FORMAT -> OUTPUT. `text` puts each file after
  # a line with its path; `json` makes one object, path to content.
  file(STRINGS ${LIST} paths)
  set(separator "")
  file(WRITE ${OUTPUT} "")
  if(FORMAT STREQUAL "json")
    file(WRITE ${OUTPUT} "{\n")
  endif()
  foreach(path ${paths})
    file(READ ${ROOT}/${path} content)
    if(FORMAT STREQUAL "json")
      file(APPEND ${OUTPUT} "${separator}\"${path}\": ${content}")
      set(separator ",\n")
    else()
      file(APPEND ${OUTPUT} "==== ${path} ====\n${content}\n")
    endif()
  endforeach()
  if(FORMAT STREQUAL "json")
    file(APPEND ${OUTPUT} "}\n")
  endif()
  return()
endif()

add_library(formwork_assets OBJECT)
set_target_properties(formwork_assets PROPERTIES C_COMPILER_LAUNCHER "")
target_sources(formwork_core PRIVATE $<TARGET_OBJECTS:formwork_assets>)

# formwork_embed(NAME FORMAT PATH...): symbols formwork_NAME_begin and formwork_NAME_end.
function(formwork_embed name format)
  set(paths ${ARGN})
  list(SORT paths)
  string(REPLACE ";" "\n" lines "${paths}")
  set(list ${CMAKE_BINARY_DIR}/embedded_${name}.list)
  set(joined ${CMAKE_BINARY_DIR}/embedded_${name}.txt)
  set(source ${CMAKE_BINARY_DIR}/embedded_${name}.c)
  file(CONFIGURE OUTPUT ${list} CONTENT "${lines}\n" @ONLY)
  list(TRANSFORM paths PREPEND ${CMAKE_SOURCE_DIR}/)
  set(script ${CMAKE_SOURCE_DIR}/cmake/EmbedAssets.cmake)
  add_custom_command(OUTPUT ${joined}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DLIST=${list} -DFORMAT=${format} -DOUTPUT=${joined}
      -P ${script}
    DEPENDS ${paths} ${list} ${script}
    COMMENT "Joining the embedded ${name}" VERBATIM)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
__asm__(".section .rodata\n.global formwork_@name@_begin\n.hidden formwork_@name@_begin\nformwork_@name@_begin:\n"
        ".incbin \"@joined@\"\n"
        ".global formwork_@name@_end\n.hidden formwork_@name@_end\nformwork_@name@_end:\n.byte 0\n.previous\n");
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${joined})
  target_sources(formwork_assets PRIVATE ${source} ${joined})
endfunction()

file(GLOB_RECURSE embedded_files RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS formwork/*.h formwork/*.cpp)
file(GLOB embedded_documents RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS docs/*.md README.md LICENSE)
formwork_embed(text text ${embedded_files} ${embedded_documents})
file(GLOB_RECURSE embedded_systems RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS systems/*.json)
formwork_embed(systems json ${embedded_systems})
file(GLOB embedded_results RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS docs/results/*.json)
formwork_embed(results json ${embedded_results})
file(GLOB embedded_specs RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS specs/*.json)
formwork_embed(specs json ${embedded_specs})
