/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CARBITER_TRACE_H
#define CARBITER_TRACE_H

#include "trace_file.h"

#endif
