/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * How the threads of recorded programs hand their accesses to the process that writes the recording
 * down: one event (trace_event.h), the memory that both sides map (trace_session.h), the side of a
 * recorded thread (recorder.h, runs.h) and the side that reads (reader.h). C alone: it lands in
 * other people's programs.
 */
#ifndef CARBITER_RECORD_H
#define CARBITER_RECORD_H

#include "reader.h"
#include "recorder.h"
#include "runs.h"
#include "trace_event.h"
#include "trace_session.h"

#endif
