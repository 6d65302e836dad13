# `cmake --install`: the program, the shared library, the public headers and a package for find_package(Formwork).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Formwork)
set_target_properties(formwork_core PROPERTIES INSTALL_RPATH "$ORIGIN;${LIBTORCH}/lib")
install(TARGETS formwork_core LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY formwork DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
if(TARGET formwork)
  set_target_properties(formwork PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR};${LIBTORCH}/lib")
  install(TARGETS formwork RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# The runtime: one static program, and the library with its C header for others.
install(TARGETS formwork-run RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS formwork-runtime formwork-runtime-highway ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

configure_package_config_file(cmake/FormworkConfig.cmake.in FormworkConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(FormworkConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/FormworkConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/FormworkConfigVersion.cmake cmake/LibTorch.cmake DESTINATION ${package_dir})
