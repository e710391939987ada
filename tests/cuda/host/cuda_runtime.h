#pragma once
// The toolkit's header of this name, which leaves out device code where a host compiler reads it, and what kernels need to be parsed; most of it is
// tests/hostcuda/shadow's.
#include_next <cuda_runtime.h>

#define __launch_bounds__(...)

#include "hostcuda/functions.hpp"
#include "hostcuda/warp.hpp"

std::size_t __cvta_generic_to_shared(const void*);
std::size_t __cvta_generic_to_global(const void*);
unsigned __brev(unsigned);
