/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What happens when the library is loaded into a program. */
#include "CArbiterTierPreload.h"
#include "CArbiterTier.h"

typedef int ArbTierPreloadHasNoCodeYet;
