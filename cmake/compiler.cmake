# One set of flags for every file: an inline function compiled under two sets of -m flags is one symbol to the
# linker, which may then pick the wrong one. No -ffast-math: it removes NaN checks.
# imgcap_compile_options(OPTION...): for C++ and for the host's part of .cu files, which nvcc hands to the same compiler;
# its own files are not pedantic and hide names.
function(imgcap_compile_options)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${ARGN}>")
  list(REMOVE_ITEM ARGN -Wpedantic -Wshadow)
  list(JOIN ARGN "," options)
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${options}>")
endfunction()

imgcap_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  imgcap_compile_options(-Wno-restrict)  # g++ 12 warns of std::string's own operator+ (GCC bug 105651)
  imgcap_compile_options(-Wno-maybe-uninitialized)  # and of its own AVX-512 intrinsics (GCC bug 105593)
endif()
if(IMGCAP_NATIVE)
  imgcap_compile_options(-march=native)
endif()
if(IMGCAP_STATIC)
  add_link_options(-static-libstdc++ -static-libgcc)
endif()
if(IMGCAP_WERROR)
  imgcap_compile_options(-Werror)
  add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror all-warnings>")
endif()
if(IMGCAP_SANITIZE)
  add_compile_options(-fsanitize=${IMGCAP_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${IMGCAP_SANITIZE})
  # Looked at before each access, which the address sanitizer sees as well: a quarter of the time that ordinary code takes to
  # compile, and half of the kernels'. What only they see, a pointer that wraps around and is never used, is given up. The
  # fuzzers, whose readers take pointers from damaged files, keep them.
  if(IMGCAP_SANITIZE MATCHES "address" AND NOT IMGCAP_FUZZ)
    add_compile_options(-fno-sanitize=null,object-size,pointer-overflow)
  endif()
endif()

# For code that spends its time in the kernels of tensor/: what is saved here is build time. The demo's training is as
# fast with it as without.
function(imgcap_optimize_lightly target)
  if(NOT IMGCAP_SANITIZE)
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# imgcap_library(NAME [LIBRARIES...]): a static library of the .cc files in the current folder, and its tests' door.
function(imgcap_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(imgcap_${name} STATIC ${sources})
  add_library(imgcap::${name} ALIAS imgcap_${name})
  target_include_directories(imgcap_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(imgcap_${name} PUBLIC ${ARGN})
endfunction()

# For the framework's rooms, where a number that changes without a cast is a mistake. clang's flag of that name asks for
# more (signs), and so is not given.
function(imgcap_warn_of_conversions target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wconversion>)
  endif()
endfunction()
