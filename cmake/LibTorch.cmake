# LibTorch as the imported target thimble::torch.
#
# Links libtorch_cpu and libc10 only, so that the CUDA wheel needs no CUDA driver or math libraries. The wheel ships old
# copies of protobuf and fmt headers: its include folders come after the system's (-idirafter).
# Any LibTorch works: -DCMAKE_PREFIX_PATH=/path/to/libtorch; otherwise the wheel that script/bootstrap unpacks is used.

set(_hints ${CMAKE_PREFIX_PATH} ${CMAKE_SOURCE_DIR}/.deps/site/torch)
find_path(TORCH_INCLUDE_DIR torch/csrc/api/include/torch/torch.h PATHS ${_hints} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_library(TORCH_CPU_LIBRARY torch_cpu PATHS ${_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
find_library(C10_LIBRARY c10 PATHS ${_hints} PATH_SUFFIXES lib NO_DEFAULT_PATH)
if(NOT TORCH_INCLUDE_DIR OR NOT TORCH_CPU_LIBRARY OR NOT C10_LIBRARY)
  message(FATAL_ERROR "LibTorch not found in: ${_hints}. Run script/bootstrap, or set CMAKE_PREFIX_PATH to a LibTorch.")
endif()
get_filename_component(_lib ${TORCH_CPU_LIBRARY} DIRECTORY)

add_library(thimble_torch INTERFACE)
add_library(thimble::torch ALIAS thimble_torch)
target_compile_options(thimble_torch INTERFACE
  "SHELL:-idirafter ${TORCH_INCLUDE_DIR}"
  "SHELL:-idirafter ${TORCH_INCLUDE_DIR}/torch/csrc/api/include")
target_link_libraries(thimble_torch INTERFACE ${TORCH_CPU_LIBRARY} ${C10_LIBRARY})
target_link_options(thimble_torch INTERFACE "-Wl,-rpath,${_lib}" "-Wl,--no-as-needed" "-Wl,-rpath-link,${_lib}")

# ATen takes 10 s to read: every LibTorch library reuses this one precompiled header. torch/torch.h, modules, optimizers and
# data loaders with it, would take twice that, and make the compiler map twice as much for every file.
file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cc "// holds the precompiled header\n")
add_library(thimble_torch_pch OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cc)
target_link_libraries(thimble_torch_pch PUBLIC thimble_torch)
target_precompile_headers(thimble_torch_pch PRIVATE <ATen/ATen.h> <ATen/core/grad_mode.h> <c10/core/InferenceMode.h>)
