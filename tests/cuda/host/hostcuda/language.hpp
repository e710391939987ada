#pragma once
// In the place of tests/hostcuda/shadow's, whose types the toolkit has itself.
#include <device_launch_parameters.h>
