/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterSampling.h"

_Static_assert(sizeof(ArbSample) == 56 + 8 * ARB_REGISTER_COUNT, "samples have no gaps");
