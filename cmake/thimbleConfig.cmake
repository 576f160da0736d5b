# find_package(thimble [COMPONENTS runtime toolkit]): thimble::runtime and thimble::texts; thimble::toolkit. Without
# components, those that are installed.
foreach(component runtime toolkit)
  if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/thimble_${component}.cmake)
    if(NOT thimble_FIND_COMPONENTS OR component IN_LIST thimble_FIND_COMPONENTS)
      include(${CMAKE_CURRENT_LIST_DIR}/thimble_${component}.cmake)
      set(thimble_${component}_FOUND TRUE)
    endif()
  endif()
endforeach()
foreach(component ${thimble_FIND_COMPONENTS})
  if(NOT thimble_${component}_FOUND AND thimble_FIND_REQUIRED_${component})
    set(thimble_FOUND FALSE)
    set(thimble_NOT_FOUND_MESSAGE
      "${CMAKE_CURRENT_LIST_DIR} has no component ${component}; `cmake --install BUILD --component ${component}` puts it there")
  endif()
endforeach()
