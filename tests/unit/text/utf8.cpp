#include <string>

#include <terse/text/utf8.hpp>

#include "support/catch.hpp"

using terse::text::replace_malformed;

TEST_CASE("malformed UTF-8 is replaced as Python's decode(errors=\"replace\") does") {
  const std::string mark = "\xEF\xBF\xBD";
  CHECK(replace_malformed("") == "");
  CHECK(replace_malformed("caf\xC3\xA9 \xF0\x9F\x98\x80") == "caf\xC3\xA9 \xF0\x9F\x98\x80");
  CHECK(replace_malformed("an emoji cut: \xF0\x9F\x98") == "an emoji cut: " + mark);           // one for a character that breaks off
  CHECK(replace_malformed("\xE2\x82 and \xC3(") == mark + " and " + mark + "(");
  CHECK(replace_malformed("\x80\xBF\xFF") == mark + mark + mark);                              // one a byte where none begins
  CHECK(replace_malformed("\xED\xA0\x80|\xE0\x80|\xF4\x90") == mark + mark + mark + "|" + mark + mark + "|" + mark + mark);
}
