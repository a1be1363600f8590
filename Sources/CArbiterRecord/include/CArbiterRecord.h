/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CARBITER_RECORD_H
#define CARBITER_RECORD_H

#include "trace_event.h"

#endif
