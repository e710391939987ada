// expect: terse: Contrastive chooses among the TopK likeliest tokens by a Penalty; give both
#include <terse/decode/strategies.hpp>

terse::decode::Strategy strategy = terse::decode::Contrastive{terse::decode::TopK{4}};
