/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "hooked_kernels.h"

#define KERNEL(name) hooked_##name
#include "../kernels.inc"
