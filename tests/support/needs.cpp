#include "needs.hpp"

#if defined(TERSE_NEEDS)
const Needs needs{TERSE_NEEDS, TERSE_NEEDS_WHAT};
#else
const Needs needs{};
#endif
