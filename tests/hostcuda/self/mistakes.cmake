# Mistakes that end the program, or that only a sanitizer sees: self/programs/bug.cpp, run once for each. BUILD: MISTAKE = WORDS of the report.
function(hostcuda_mistakes build)
  if(NOT build IN_LIST hostcuda_builds)
    return()
  endif()
  hostcuda_add_program(hostcuda_bug_${build} ${build} self/programs/bug.cpp)
  foreach(pair ${ARGN})
    string(REGEX MATCH "^(.*) = (.*)$" pair "${pair}")
    string(REPLACE " " "_" name "${CMAKE_MATCH_1}")
    # By a shell, as CTest takes no words for an excuse where a program was ended by a signal.
    add_test(NAME hostcuda_${build}_${name} COMMAND sh -c "\"$@\" || exit 1" - ${hostcuda_start_${build}} $<TARGET_FILE:hostcuda_bug_${build}> "${CMAKE_MATCH_1}" 0)
    set_tests_properties(hostcuda_${build}_${name} PROPERTIES LABELS hostcuda PASS_REGULAR_EXPRESSION "${CMAKE_MATCH_2}" ENVIRONMENT "${hostcuda_environment}")
  endforeach()
endfunction()

hostcuda_mistakes(plain "the host reads device memory = the host accesses device memory")
hostcuda_mistakes(asan
  "no mistake = verdict: nothing found"
  "index past an array in shared memory = index 128 out of bounds"
  "misaligned float4 = misaligned address"
  "one past the end = use-after-poison"
  "use after free = AddressSanitizer: use-after-poison")
hostcuda_mistakes(tsan
  "no mistake = verdict: nothing found"
  "event wait = verdict: nothing found"
  "wait for copies = verdict: nothing found"
  "no barrier after the load = data race"
  "no barrier in the loop = data race"
  "no barrier in the warp = data race"
  "no barrier before the result is read = data race"
  "storage used twice = data race"
  "lost update = data race"
  "race between blocks = data race"
  "no event wait = data race")
