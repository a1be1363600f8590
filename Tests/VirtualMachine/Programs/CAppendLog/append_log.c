/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * All of the module is in its header; this file makes sure that the header compiles alone. */
#include "append_log.h"

_Static_assert(sizeof(struct arb_record) == ARB_RECORD_BYTES, "a record has no padding");
_Static_assert(ARB_RECORD_BYTES % 64 == 0, "records are copied past the cache line by line");
