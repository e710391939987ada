// expect: terse: a part of a decoding strategy is one of terse::decode's, or has edit(const History&, Edits&) const or stops(const History&) const
// expect: Loud
#include <terse/decode/strategies.hpp>

struct Loud {
  float volume = 1;
};

terse::decode::Strategy strategy = terse::decode::Sample{Loud{2}, terse::decode::Temperature{0.7f}};
