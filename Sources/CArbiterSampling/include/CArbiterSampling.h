/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Samples of running threads through perf_event_open: events, rings and what lies in them.
 */
#ifndef CARBITERSAMPLING_H
#define CARBITERSAMPLING_H

#include "events.h"
#include "ring.h"
#include "sample.h"

#endif
