/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What `arbiter account` by the timer costs the watched program, and what it uses itself.
 *
 *   account-cost [--smoke] path/of/arbiter [ROUNDS]
 *
 * The program runs itself again for a fixed amount of work, which tells the CPU time that it took:
 * random stores to memory that the second cache holds, to memory that none holds, and one element
 * after the other. A Redis, where Debian's redis-tools is, answers a fixed number of requests.
 * Arms are taken in turn, and which goes first rotates:
 *
 *   alone     nobody watches
 *   rate      `arbiter account` at its default period; the limit is 1 %
 *   10 kHz    the same with --period=100us; the limit is 5 %
 *   bare      a timer of the kernel at each of the two periods that takes no samples. It is what
 *             the machine asks for its interrupts, and what no profiler by a clock can go below:
 *             2 us and less on a machine, 15 us on some virtual ones
 *
 * Figures are percent of the time alone, medians over rounds with their distribution-free 95 %
 * intervals. Beside them stands what the samples add to the bare timer, and the tool's own CPU
 * time in percent of the program's. On a busy machine the differences of the least times tell
 * more, since others only ever add. Where a kernel charges interrupts to nobody
 * (CONFIG_IRQ_TIME_ACCOUNTING), the bare timer and a part of the rest are not seen.
 *
 *   met        the whole interval lies at or below the limit
 *   missed     the whole interval lies above it
 *   undecided  the limit lies within the interval
 *
 * With --smoke few rounds are taken and nothing is judged.
 */
#define _GNU_SOURCE
#include "arms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_smoke;

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Prints a figure; `limit` of 0 is none. Returns 0 met or not judged, 1 undecided, 2 missed. */
static int report(const char *label, double *figures, int count, double limit) {
  qsort(figures, (size_t)count, sizeof *figures, compare);
  /* Ranks that the median lies between in at least 95 % of samples, if there are 6 or more. */
  int reach = (int)ceil(0.98 * sqrt((double)count)) + 1;
  if (reach > (count - 1) / 2) reach = (count - 1) / 2;
  double low = figures[count / 2 - reach], high = figures[count / 2 + reach];
  printf("  %-40s %6.2f %% (95 %% %.2f to %.2f)", label, figures[count / 2], low, high);
  int verdict = 0;
  if (limit > 0 && !is_smoke) {
    verdict = high <= limit ? 0 : low > limit ? 2 : 1;
    printf(": %s against %.0f %%", (const char *[]){"met", "undecided", "missed"}[verdict], limit);
  }
  printf("\n");
  fflush(stdout);
  return verdict;
}

static double least(const double *figures, int count) {
  double result = figures[0];
  for (int index = 1; index < count; index++) {
    if (figures[index] < result) result = figures[index];
  }
  return result;
}

/* One kind of work under all arms. Returns the worst verdict. */
static int measure(const Work *work, const char *tool, int rounds) {
  static double times[ARM_COUNT][ROUNDS_MAX], own[ARM_COUNT][ROUNDS_MAX];
  static double figures[ROUNDS_MAX];
  long samples = 0, lost = 0;
  for (int round = -1; round < rounds; round++) {
    for (int turn = 0; turn < ARM_COUNT; turn++) {
      int arm = (round + 1 + turn) % ARM_COUNT;
      Outcome outcome = run_arm(work, arm, tool);
      /* The first round warms up. */
      if (round < 0) continue;
      times[arm][round] = outcome.program_seconds;
      own[arm][round] = outcome.tool_seconds;
      samples += outcome.samples;
      lost += outcome.lost;
    }
  }
  memcpy(figures, times[ARM_ALONE], sizeof figures);
  qsort(figures, (size_t)rounds, sizeof *figures, compare);
  printf("%s, %.0f ms alone, %d rounds, %ld samples, %ld lost\n", work->name,
         figures[rounds / 2] * 1e3, rounds, samples, lost);
  static const struct {
    const char *label;
    Arm arm, bare;
    double limit;
  } rows[] = {{"default rate", ARM_DEFAULT, ARM_BARE_DEFAULT, 1},
              {"10 kHz", ARM_FAST, ARM_BARE_FAST, 5}};
  int worst = 0;
  for (int row = 0; row < 2; row++) {
    char label[64];
    double best = least(times[ARM_ALONE], rounds);
    for (int part = 0; part < 4; part++) {
      for (int round = 0; round < rounds; round++) {
        double alone = times[ARM_ALONE][round];
        double arm = times[rows[row].arm][round], bare = times[rows[row].bare][round];
        double percent[] = {arm - alone, bare - alone, arm - bare, own[rows[row].arm][round]};
        figures[round] = 100 * percent[part] / alone;
      }
      static const char *words[] = {"", ": of that the bare timer", ": above the bare timer",
                                    ": the tool's own CPU time"};
      snprintf(label, sizeof label, "%s%s", rows[row].label, words[part]);
      int verdict = report(label, figures, rounds, part == 0 ? rows[row].limit : 0);
      if (verdict > worst) worst = verdict;
    }
    printf("  %s: between the least times %26.2f %%, bare timer %.2f %%\n", rows[row].label,
           100 * (least(times[rows[row].arm], rounds) / best - 1),
           100 * (least(times[rows[row].bare], rounds) / best - 1));
  }
  return worst;
}

int main(int count, char **words) {
  if (count == 6 && strcmp(words[1], "work") == 0) return run_work(words);
  is_smoke = count == 3 && strcmp(words[1], "--smoke") == 0;
  int rounds = is_smoke ? 2 : count == 3 ? atoi(words[2]) : 21;
  if ((count != 2 + is_smoke && count != 3) || rounds < 1 || rounds > ROUNDS_MAX) {
    fprintf(stderr, "usage: account-cost [--smoke] PATH-OF-ARBITER [ROUNDS]\n");
    return 2;
  }
  const char *tool = words[1 + is_smoke];
  int worst = 0;
  for (int index = 0; index < WORK_COUNT; index++) {
    if (!can_run(&works[index])) {
      printf("%s: not here\n", works[index].name);
      continue;
    }
    int verdict = measure(&works[index], tool, rounds);
    if (verdict > worst) worst = verdict;
  }
  printf("account-cost: %s\n", is_smoke ? "not judged"
                                        : (const char *[]){"met", "undecided", "missed"}[worst]);
  return worst == 2;
}
