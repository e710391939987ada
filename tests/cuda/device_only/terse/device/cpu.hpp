#pragma once
// In the library's header's place: a name for declarations.

namespace terse {

class Cpu;

}  // namespace terse
