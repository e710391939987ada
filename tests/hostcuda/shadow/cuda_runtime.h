#pragma once
// The toolkit's header of this name, for the CUDA machine on the host (tests/hostcuda/README.md).

#include "hostcuda/functions.hpp"
#include "hostcuda/kernel.hpp"
#include "hostcuda/language.hpp"
#include "hostcuda/launch.hpp"
#include "hostcuda/runtime.hpp"
#include "hostcuda/warp.hpp"
