# That another project can add this one as a folder: it configures, its own file compiles, and nothing of ours (tests,
# program, build type, flags, rules to install) gets into it. The libraries are not built, which would take minutes.
#   cmake -DROOT=. -DFOLDER=build/outside_project -DCOMPILER=c++ -DGENERATOR=Ninja -P check.cmake
file(REMOVE_RECURSE ${FOLDER})
execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=CXXFLAGS --unset=CMAKE_BUILD_TYPE
                        ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${FOLDER} -G ${GENERATOR}
                        -DCMAKE_CXX_COMPILER=${COMPILER} -DIMGCAP_SOURCE=${ROOT} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
                RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "it does not configure:\n${said}")
endif()

file(READ ${FOLDER}/compile_commands.json commands)
string(JSON count LENGTH "${commands}")
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
  string(JSON file GET "${commands}" ${i} file)
  cmake_path(IS_PREFIX CMAKE_CURRENT_LIST_DIR "${file}" own)
  if(own)
    string(JSON command GET "${commands}" ${i} command)
    string(JSON folder GET "${commands}" ${i} directory)
  else()
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${ROOT}")
    if(NOT file MATCHES "^(tensor|autograd|nn|optim)/")
      message(FATAL_ERROR "${file} is no part of the framework")
    endif()
  endif()
endforeach()
if(NOT command MATCHES "-std=(c|gnu)\\+\\+2[0-9a-z]")
  message(FATAL_ERROR "its file is not compiled as C++20: ${command}")
elseif(command MATCHES "-march|-Wpedantic|-Werror|-O[0-9]|-fsanitize")
  message(FATAL_ERROR "our flags reach its file: ${command}")
endif()
execute_process(COMMAND sh -c "${command}" WORKING_DIRECTORY ${folder} RESULT_VARIABLE status ERROR_VARIABLE said)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "its file does not compile:\n${said}")
endif()

file(STRINGS ${FOLDER}/CMakeCache.txt type REGEX "^CMAKE_BUILD_TYPE:")
if(type AND NOT type MATCHES "=$")  # a generator of several types has no such line
  message(FATAL_ERROR "its build type was changed: ${type}")
endif()
file(GLOB_RECURSE rules ${FOLDER}/CTestTestfile.cmake ${FOLDER}/cmake_install.cmake)
foreach(rule ${rules})
  file(STRINGS ${rule} found REGEX "add_test|file\\(INSTALL")
  if(found)
    message(FATAL_ERROR "${rule} has a test or a rule to install: ${found}")
  endif()
endforeach()
