# Says where a project that uses terse has left CMAKE_BUILD_TYPE empty: CMake then asks for no optimization at all. The choice stays the project's.
# The build includes this file, and so does terseConfig.cmake of an installed tree.
get_property(terse_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT terse_multi_config AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CXX_FLAGS MATCHES "-O" AND NOT terse_FIND_QUIETLY)
  message(WARNING "terse: CMAKE_BUILD_TYPE is empty, so programs with terse are compiled without optimization, and are slow; configure with -DCMAKE_BUILD_TYPE=Release")
endif()
