#pragma once

namespace terse {

/// How the CPU backs a block of memory. Huge pages are faster to go through; of small ones the system provides only those that are
/// touched, as in a cache that texts don't fill. Other devices have no such choice.
enum class Pages { huge, small };

}  // namespace terse
