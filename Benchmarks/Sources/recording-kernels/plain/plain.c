/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "plain_kernels.h"

#define KERNEL(name) plain_##name
#include "../kernels.inc"
