// expect: terse: BestOf draws its Samples, named once and first: for Beams use Beam
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::BestOf{terse::decode::Samples{4}, terse::decode::Beams{4}};
