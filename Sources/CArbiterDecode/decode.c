/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "CArbiterDecode.h"

_Static_assert(sizeof(ArbAccess) == 24, "accesses have no gaps");
