// The one place XXH3 enters: the reference sources inside the xxhash-addon package.
#pragma once
#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "xxhash.h"
#pragma GCC diagnostic pop
