// expect: terse: Beam writes several texts at a time for a prompt: Draft guesses for one
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Beam{terse::decode::Beams{4}, terse::decode::Draft{4}};
