/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tables of the copy engines, each indexed by flush kind.
 */
#ifndef ARB_COPY_ENGINES_H
#define ARB_COPY_ENGINES_H

#include "CArbiter.h"
#include "CArbiterPersist.h"

extern const ArbPersistOps arb_copy_engine_sse2[4];
extern const ArbPersistOps arb_copy_engine_avx2[4];
extern const ArbPersistOps arb_copy_engine_avx512[4];

#endif
