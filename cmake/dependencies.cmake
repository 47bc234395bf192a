# Every dependency comes from the system's packages; what is optional says what its absence means.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json 3.10 REQUIRED)

set(IMGCAP_HAVE_ONEDNN OFF)
if(NOT IMGCAP_ONEDNN STREQUAL "OFF")
  find_path(DNNL_INCLUDE_DIR dnnl.hpp)
  find_library(DNNL_LIBRARY dnnl)
  if(DNNL_INCLUDE_DIR AND DNNL_LIBRARY)
    set(IMGCAP_HAVE_ONEDNN ON)
    find_package(OpenMP REQUIRED)  # its run-time library alone: to tell oneDNN to leave the threads to us
  elseif(IMGCAP_ONEDNN STREQUAL "ON")
    message(FATAL_ERROR "IMGCAP_ONEDNN=ON, but dnnl.hpp or libdnnl was not found (Debian: libdnnl-dev)")
  endif()
endif()

if(IMGCAP_CUDA STREQUAL "ON" OR IMGCAP_CUDA STREQUAL "EMULATED")
  message(FATAL_ERROR "IMGCAP_CUDA=${IMGCAP_CUDA}: this version has no CUDA kernels yet; use AUTO or OFF")
endif()

message(STATUS "oneDNN:        ${IMGCAP_HAVE_ONEDNN} (off: Eigen does the matrix products and convolutions)")
message(STATUS "CUDA:          OFF (the CPU does everything)")

if(NOT IMGCAP_BUILD_PROGRAM)
  return()
endif()

# --- what the program needs besides

find_package(CLI11 REQUIRED)
find_path(UTF8PROC_INCLUDE_DIR utf8proc.h REQUIRED)
find_library(UTF8PROC_LIBRARY utf8proc REQUIRED)
find_path(STB_INCLUDE_DIR stb_image.h PATH_SUFFIXES stb REQUIRED)

set(IMGCAP_HAVE_JPEG OFF)
if(NOT IMGCAP_JPEG STREQUAL "OFF")
  find_package(JPEG)
  if(JPEG_FOUND)
    set(IMGCAP_HAVE_JPEG ON)
  elseif(IMGCAP_JPEG STREQUAL "ON")
    message(FATAL_ERROR "IMGCAP_JPEG=ON, but libjpeg was not found (Debian: libjpeg62-turbo-dev)")
  endif()
endif()

# As a library to link to: neither has a module of CMake's own.
function(imgcap_picture_library name header library)
  find_path(${name}_INCLUDE_DIR ${header})
  find_library(${name}_LIBRARY ${library})
  if(${name}_INCLUDE_DIR AND ${name}_LIBRARY)
    add_library(${name} INTERFACE)
    target_include_directories(${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
    target_link_libraries(${name} INTERFACE ${${name}_LIBRARY})
  endif()
endfunction()

set(IMGCAP_HAVE_WEBP OFF)
if(NOT IMGCAP_WEBP STREQUAL "OFF")
  imgcap_picture_library(imgcap_webp webp/decode.h webp)
  if(TARGET imgcap_webp)
    set(IMGCAP_HAVE_WEBP ON)
  elseif(IMGCAP_WEBP STREQUAL "ON")
    message(FATAL_ERROR "IMGCAP_WEBP=ON, but webp/decode.h or libwebp was not found (Debian: libwebp-dev)")
  endif()
endif()

set(IMGCAP_HAVE_TIFF OFF)
if(NOT IMGCAP_TIFF STREQUAL "OFF")
  find_package(TIFF 4.5)  # limits on memory, and errors of one file, are from there on
  if(TIFF_FOUND)
    set(IMGCAP_HAVE_TIFF ON)
  elseif(IMGCAP_TIFF STREQUAL "ON")
    message(FATAL_ERROR "IMGCAP_TIFF=ON, but libtiff 4.5 or later was not found (Debian: libtiff-dev)")
  endif()
endif()

# Never by itself: Debian's libheif brings programs under the GPL (NOTICE.md).
set(IMGCAP_HAVE_HEIF OFF)
if(IMGCAP_HEIF)
  imgcap_picture_library(imgcap_heif libheif/heif.h heif)
  if(NOT TARGET imgcap_heif)
    message(FATAL_ERROR "IMGCAP_HEIF=ON, but libheif/heif.h or libheif was not found (Debian: libheif-dev)")
  endif()
  set(IMGCAP_HAVE_HEIF ON)
endif()

message(STATUS "libjpeg-turbo: ${IMGCAP_HAVE_JPEG} (off: stb_image reads JPEG files)")
message(STATUS "libwebp:       ${IMGCAP_HAVE_WEBP} (off: WebP files are refused)")
message(STATUS "libtiff:       ${IMGCAP_HAVE_TIFF} (off: TIFF files are refused)")
message(STATUS "libheif:       ${IMGCAP_HAVE_HEIF} (off: HEIC and AVIF files are refused)")
