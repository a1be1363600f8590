/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Processes that exist to be killed.
 */
#include "CTestSupport.h"

#include <CArbiterGate.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int32_t arb_test_spawn_permit_holder(const char *page_path, uint32_t set_index) {
  pid_t child = fork();
  if (child != 0) return (int32_t)child;
  /* The test's own death ends the victim too. Nothing below allocates or takes a lock of libc. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  ArbMapping mapping;
  ArbGate gate;
  if (arb_page_open(page_path, &mapping) != 0) _exit(1);
  if (arb_gate_attach(&gate, mapping.page, set_index, 0) != 0) _exit(2);
  if (arb_permit_acquire(&gate) == ARB_NO_TICKET) _exit(3);
  for (;;) pause();
}
