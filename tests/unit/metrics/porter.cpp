#include "terse/metrics/porter.hpp"

#include "support/catch.hpp"

using terse::metrics::porter_stem;

TEST_CASE("the paper's examples") {
  CHECK(porter_stem("caresses") == "caress");
  CHECK(porter_stem("hopping") == "hop");
  CHECK(porter_stem("filing") == "file");
  CHECK(porter_stem("relational") == "relat");
  CHECK(porter_stem("controlling") == "control");
  CHECK(porter_stem("adoption") == "adopt");
}

TEST_CASE("NLTK's extensions") {
  CHECK(porter_stem("dies") == "die");       // four letters keep ie
  CHECK(porter_stem("spied") == "spi");
  CHECK(porter_stem("enjoy") == "enjoy");    // y stays after a vowel
  CHECK(porter_stem("say") == "say");
  CHECK(porter_stem("skies") == "sky");      // irregular
  CHECK(porter_stem("succeed") == "succeed");
  CHECK(porter_stem("theology") == "theolog");
}

TEST_CASE("short words and odd ones") {
  for (const char* word : {"", "a", "is", "ed", "y"}) CHECK(porter_stem(word) == word);
  CHECK(porter_stem("ing") == "ing");
  CHECK(porter_stem("yyyy") == "yyyi");
  CHECK(porter_stem("1990s") == "1990");
}
