# The default text: the project's own sources and documents, joined at build time and taken into the library by
# the assembler. A changed source joins the text anew (milliseconds) and compiles nothing but a three-line file.
if(CMAKE_SCRIPT_MODE_FILE)
  # Script mode: ROOT, LIST (a file of relative paths, one a line) -> OUTPUT.
  file(STRINGS ${LIST} paths)
  file(WRITE ${OUTPUT} "")
  foreach(path ${paths})
    file(READ ${ROOT}/${path} content)
    file(APPEND ${OUTPUT} "==== ${path} ====\n${content}\n")
  endforeach()
  return()
endif()

file(GLOB_RECURSE embedded_files RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS formwork/*.h formwork/*.cpp)
file(GLOB embedded_documents RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS docs/*.md README.md LICENSE)
list(APPEND embedded_files ${embedded_documents})
list(SORT embedded_files)
string(REPLACE ";" "\n" embedded_lines "${embedded_files}")
set(embedded_text ${CMAKE_BINARY_DIR}/embedded_text.txt)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded_files.txt CONTENT "${embedded_lines}\n" @ONLY)
list(TRANSFORM embedded_files PREPEND ${CMAKE_SOURCE_DIR}/)
add_custom_command(OUTPUT ${embedded_text}
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DLIST=${CMAKE_BINARY_DIR}/embedded_files.txt
    -DOUTPUT=${embedded_text} -P ${CMAKE_CURRENT_LIST_FILE}
  DEPENDS ${embedded_files} ${CMAKE_BINARY_DIR}/embedded_files.txt ${CMAKE_CURRENT_LIST_FILE}
  COMMENT "Joining the default text" VERBATIM)

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded_text.c @ONLY CONTENT [[
__asm__(".section .rodata\n.global formwork_text_begin\n.hidden formwork_text_begin\nformwork_text_begin:\n"
        ".incbin \"@embedded_text@\"\n"
        ".global formwork_text_end\n.hidden formwork_text_end\nformwork_text_end:\n.byte 0\n.previous\n");
]])
set_source_files_properties(${CMAKE_BINARY_DIR}/embedded_text.c PROPERTIES OBJECT_DEPENDS ${embedded_text})
add_library(formwork_assets OBJECT ${CMAKE_BINARY_DIR}/embedded_text.c ${embedded_text})
set_target_properties(formwork_assets PROPERTIES C_COMPILER_LAUNCHER "")
target_sources(formwork_core PRIVATE $<TARGET_OBJECTS:formwork_assets>)
