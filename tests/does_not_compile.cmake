# That the compiler itself refuses each wrong case of a source, which is compiled with WRONG from 0 to COUNT: 0 is right, the
# others have to fail for a reason that matches SAYS.
#   cmake -DCOMPILER=c++ -DROOT=. -DSOURCE=x.inc -DCOUNT=5 -DSAYS=regex -P does_not_compile.cmake
foreach(wrong RANGE ${COUNT})
  execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -x c++ -I${ROOT} -DWRONG=${wrong} ${SOURCE}
                  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE errors)
  if(wrong EQUAL 0 AND NOT status EQUAL 0)
    message(FATAL_ERROR "what is right does not compile: ${errors}")
  elseif(wrong GREATER 0 AND (status EQUAL 0 OR NOT errors MATCHES "${SAYS}"))
    message(FATAL_ERROR "WRONG=${wrong} compiles, or fails for another reason: ${errors}")
  endif()
endforeach()
