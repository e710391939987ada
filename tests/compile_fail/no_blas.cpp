// expect: terse: link terse::terse (CMake), or define TERSE_WITH_ONEDNN or TERSE_WITH_OPENBLAS
// without: BLAS
#include <terse/device/cpu.hpp>
