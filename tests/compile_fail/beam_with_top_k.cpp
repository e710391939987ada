// expect: terse: Beam looks at all tokens: Temperature, TopK, TopP, MinP and Typical are for random ones
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Beam{terse::decode::Beams{4}, terse::decode::TopK{50}};
