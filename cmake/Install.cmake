# What is installed, and where: `cmake --install BUILD [--component runtime | toolkit | libtorch] --prefix PREFIX`.
#   runtime    libraries that run exported models (runtime.h; texts_c.h, free of LibTorch)
#   toolkit    the program, and the library that runs studies (study.h)
#   libtorch   LibTorch's own libraries, half a gigabyte; only where asked for
# A program finds the first two with find_package(thimble COMPONENTS ...).
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(THIMBLE_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/thimble)

# LibTorch is looked for where the component libtorch lies, then where it was when the library was built.
get_filename_component(THIMBLE_TORCH_LIB ${TORCH_CPU_LIBRARY} DIRECTORY)
set(THIMBLE_TORCH_RPATH "$ORIGIN/thimble;${THIMBLE_TORCH_LIB}")

# thimble_public_library(TARGET NAME name COMPONENT component [TORCH] HEADER file EXPORTS map SOURCES ... LIBRARIES ...):
# libthimble_NAME.so, thimble::NAME, which shows what `map` lists.
function(thimble_public_library target)
  cmake_parse_arguments(arg "TORCH" "NAME;COMPONENT;HEADER;EXPORTS" "SOURCES;LIBRARIES" ${ARGN})
  add_library(${target} SHARED ${arg_SOURCES})
  add_library(thimble::${arg_NAME} ALIAS ${target})
  target_link_libraries(${target} PRIVATE ${arg_LIBRARIES})
  target_compile_definitions(${target} PRIVATE THIMBLE_VERSION="${PROJECT_VERSION}")
  set(map ${CMAKE_CURRENT_SOURCE_DIR}/${arg_EXPORTS})
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,--no-undefined)
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME thimble_${arg_NAME} EXPORT_NAME ${arg_NAME} LINKER_LANGUAGE CXX LINK_DEPENDS ${map}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(arg_TORCH)
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "${THIMBLE_TORCH_RPATH}")
  else()
    target_link_options(${target} PRIVATE -Wl,--as-needed)
  endif()
  install(FILES ${arg_HEADER} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/thimble COMPONENT ${arg_COMPONENT})
  install(TARGETS ${target} EXPORT thimble_${arg_COMPONENT}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${arg_COMPONENT} NAMELINK_COMPONENT ${arg_COMPONENT}
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endfunction()

# Called once the targets are there.
function(thimble_install_packages)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/thimbleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  foreach(component runtime toolkit)
    install(EXPORT thimble_${component} FILE thimble_${component}.cmake NAMESPACE thimble::
      DESTINATION ${THIMBLE_CMAKE_DIR} COMPONENT ${component})
    install(FILES ${CMAKE_SOURCE_DIR}/cmake/thimbleConfig.cmake ${CMAKE_BINARY_DIR}/thimbleConfigVersion.cmake
      DESTINATION ${THIMBLE_CMAKE_DIR} COMPONENT ${component})
  endforeach()
endfunction()

# LibTorch with what it links beside the system's libraries. Its own search path ends in the directory that it is in.
install(CODE "set(torch \"${TORCH_CPU_LIBRARY}\")\nset(destination \"${CMAKE_INSTALL_LIBDIR}/thimble\")"
  COMPONENT libtorch EXCLUDE_FROM_ALL)
install(CODE [[
  get_filename_component(site ${torch} DIRECTORY)
  get_filename_component(site ${site}/../.. REALPATH)
  file(GET_RUNTIME_DEPENDENCIES LIBRARIES ${torch} RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
    CONFLICTING_DEPENDENCIES_PREFIX conflict)
  if(missing)
    message(FATAL_ERROR "libtorch_cpu.so needs what is not here: ${missing}")
  endif()
  foreach(library ${torch} ${found})
    get_filename_component(real ${library} REALPATH)
    if(real MATCHES "^${site}/")
      file(INSTALL ${library} DESTINATION ${CMAKE_INSTALL_PREFIX}/${destination} FOLLOW_SYMLINK_CHAIN)
    endif()
  endforeach()
]] COMPONENT libtorch EXCLUDE_FROM_ALL)
