/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * The mechanism of the runtime, once for everybody who gates stores: Swift programs
 * (ArbiterRuntime), C programs (libarbiter) and programs that know nothing of Arbiter (the preload
 * library). C alone, so that it can live inside any program.
 */
#ifndef CARBITERGATE_H
#define CARBITERGATE_H

#include "admission.h"
#include "control_page.h"
#include "delegation.h"
#include "gate.h"
#include "permits.h"
#include "recording.h"

#endif
