// expect: terse: Greedy writes one text: for Beams use Beam, for Samples use BestOf
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Greedy{terse::decode::Beams{4}};
