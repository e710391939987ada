// Only carries the header that the tests share precompiled.
