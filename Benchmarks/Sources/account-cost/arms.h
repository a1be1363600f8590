/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Work that is watched, and the ways to watch it.
 */
#ifndef ACCOUNT_COST_ARMS_H
#define ACCOUNT_COST_ARMS_H

#define ROUNDS_MAX 31

typedef enum {
  ARM_ALONE,
  ARM_DEFAULT,
  ARM_FAST,
  ARM_BARE_DEFAULT,
  ARM_BARE_FAST,
  ARM_COUNT
} Arm;

typedef struct {
  const char *name;
  unsigned long mebibytes; /* 0: 512 KiB */
  unsigned long turns;     /* stores, or requests */
  int is_random;           /* -1: Redis */
} Work;

enum { WORK_COUNT = 4 };
extern const Work works[WORK_COUNT];

typedef struct {
  double program_seconds; /* CPU time of the work */
  double tool_seconds;    /* CPU time of the tool, from its start to its end */
  long samples;
  long lost;
} Outcome;

/* Whether what it needs is there. */
int can_run(const Work *work);

/* Does the work in one way; ends the program where that fails. */
Outcome run_arm(const Work *work, Arm arm, const char *tool);

/* The work itself, in a process of its own: `work MEBIBYTES TURNS random|next PERIOD`, the last of a
 * bare timer. */
int run_work(char **words);

/* Ends the program with a sentence. */
void fail(const char *reason);

#endif
