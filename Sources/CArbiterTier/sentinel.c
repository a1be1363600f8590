/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * How long forks live. A mapping of the slow file by an open file description of its own, which
 * holds a lock of a byte far behind the file's end, goes to the child, and from it to its children:
 * while any of them lives and runs this program the lock is held, and the kernel drops it with the
 * last. The byte stands for the seat, so that the manager can ask as well, when the parent is
 * gone. */
#define _GNU_SOURCE
#include "fork_state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes that stand for seats, behind any file's end. */
#define LOCK_START (1ll << 60)

int arb_tier_is_locked(int64_t file, uint32_t seat) {
  struct flock lock = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_START + seat, .l_len = 1};
  int64_t answer = arb_tier_call(SYS_fcntl, file, F_OFD_GETLK, (intptr_t)&lock, 0, 0, 0);
  /* What cannot be asked is taken to be so. */
  return answer < 0 || lock.l_type != F_UNLCK;
}

int arb_tier_seat_forks_live(int slow_fd, uint32_t seat) {
  return arb_tier_is_locked(slow_fd, seat);
}

int arb_tier_make_sentinel(void) {
  ArbTierFork *fork = &arb_tier_fork;
  char path[64] = "/proc/thread-self/fd/";
  char digits[12];
  int count = 0;
  uint32_t number = (uint32_t)arb_tier_state.slow_fd;
  do digits[count++] = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  size_t end = strlen(path);
  while (count > 0) path[end++] = digits[--count];
  path[end] = 0;
  int64_t file = arb_tier_call(
      SYS_openat, AT_FDCWD, (intptr_t)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
  int64_t answer = file;
  if (file >= 0) {
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET,
                         .l_start = LOCK_START + arb_tier_state.seat_number, .l_len = 1};
    answer = arb_tier_call(SYS_fcntl, file, F_OFD_SETLK, (intptr_t)&lock, 0, 0, 0);
    fork->sentinel_bytes = ARB_TIER_CHUNK_BYTES;
    if (answer == 0)
      answer = arb_tier_call(
          SYS_mmap, 0, ARB_TIER_CHUNK_BYTES, PROT_NONE, MAP_SHARED, file, 0);
    arb_tier_call(SYS_close, file, 0, 0, 0, 0, 0);
  }
  fork->sentinel = answer < 0 ? 0 : (uint64_t)answer;
  if (answer >= 0) return 1;
  arb_tier_remark(
      ARB_TIER_REMARK_FORK, "the end of forked processes cannot be seen", (int)-answer);
  return 0;
}
