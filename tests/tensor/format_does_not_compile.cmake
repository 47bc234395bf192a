# That the compiler itself refuses a sentence whose fields do not fit its values; each case of WRONG in the file below.
#   cmake -DCOMPILER=c++ -DROOT=. -P format_does_not_compile.cmake
set(source ${CMAKE_CURRENT_LIST_DIR}/format_does_not_compile.inc)
foreach(wrong RANGE 5)
  execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -x c++ -I${ROOT} -DWRONG=${wrong} ${source}
                  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE errors)
  if(wrong EQUAL 0 AND NOT status EQUAL 0)
    message(FATAL_ERROR "what is right does not compile: ${errors}")
  elseif(wrong GREATER 0 AND (status EQUAL 0 OR NOT errors MATCHES "wrong_format_string|consteval|constant expression"))
    message(FATAL_ERROR "WRONG=${wrong} compiles, or fails for another reason: ${errors}")
  endif()
endforeach()
