/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CARBITERTIER_H
#define CARBITERTIER_H

#include "tier.h"
#include "tier_manager.h"
#include "tier_page.h"

#endif
