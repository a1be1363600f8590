/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a migration of 2 MiB costs beside a plain copy and the kernel calls that it needs.
 *
 *   tier-migrate [--smoke] [FOLDER-OF-THE-SLOW-FILE]
 *
 * Both are timed in turn, in one process, on memory of their own: batches of migrations through the
 * mover's queue, and the same copies and system calls made one after the other by one thread
 * without lock, table, budget, checks or watcher; by the clock, and by the CPU time of the thread
 * that does the work. The figure is the median over the pairs of the ratio, with its quartiles. The
 * same for 16 islands of 32 KiB that lie apart in each chunk.
 *
 * Then a thread stores into a chunk without pause while it is moved to and fro. Two figures are set
 * beside the plain copy's time in the same run, a copy into memory that is not yet there: how long
 * the chunk was protected, and the writer's longest pause, which also holds the time until the
 * machine lets it run again. Only migrations that the writer ran into count.
 *
 *   met                 the median is at most the target
 *   met by the fastest  the fastest tenth of both sides is, where a busy machine spoils the rest
 *   missed              neither is
 */
#define _GNU_SOURCE
#include <CArbiterTier.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ARB_TIER_CHUNK_BYTES
#define BATCH 16u
#define ROUNDS_MAX 60
#define TARGET_RATIO 1.3
#define TARGET_STALL 1.0
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { TO_FAST, TO_SLOW };

static ArbTierHeader *header;
static ArbTierSeat *seat;
static ArbTierChunk *chunks;
static char *managed, *plain;
static int slow, fault_fd, is_huge;
static uint64_t islands; /* of each chunk, that move */
static uint64_t ticket, stall_count, mover_nanoseconds, protected_nanoseconds;

static void fail(const char *what) {
  printf("tier-migrate: invalid, %s (%s)\n", what, strerrorname_np(errno));
  exit(1);
}

static double now_microseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* The quantile of sorted figures. */
static double quantile(const double *sorted, int count, double share) {
  return sorted[(int)(share * (count - 1) + 0.5)];
}

static char *map_plain(uint64_t length) {
  void *all = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) fail("no memory");
  return all;
}

static char *map_chunks(uint32_t count) {
  char *all = map_plain((count + 1) * CHUNK);
  char *aligned = (char *)(((uintptr_t)all + CHUNK - 1) / CHUNK * CHUNK);
  madvise(aligned, count * CHUNK, is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return aligned;
}

/* --- The mover --- */

static void join(const char *folder) {
  uint64_t bytes = arb_tier_page_bytes(4 * BATCH, 4 * BATCH);
  int page_fd = memfd_create("page", MFD_CLOEXEC);
  if (page_fd < 0 || ftruncate(page_fd, (off_t)bytes) != 0) fail("no page");
  void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
  if (page == MAP_FAILED) fail("no page");
  slow = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (slow < 0 || ftruncate(slow, (off_t)(4 * BATCH * CHUNK)) != 0) fail("no slow file");
  arb_tier_page_make(page, 3 * BATCH, 4 * BATCH);
  header = page;
  header->fast_bytes = 4 * BATCH * CHUNK;
  header->fast_free_bytes = (int64_t)header->fast_bytes;
  errno = -arb_tier_join(page_fd, slow);
  if (errno == EPERM) {
    printf("tier-migrate: skipped, userfaultfd is not permitted here\n");
    exit(0);
  }
  if (errno != 0 || arb_tier_start() != 0) fail("the page cannot be joined");
  seat = arb_tier_seat(page, 0);
  chunks = arb_tier_chunks(page, 0);
}

static uint64_t moving_bytes(void) {
  return (uint64_t)__builtin_popcountll(islands) * ARB_TIER_ISLAND_BYTES;
}

/* Moves the first chunks, as the manager asks for it, and returns when all have moved. */
static void migrate(uint32_t count, int destination) {
  for (uint32_t each = 0; each < count; each++) {
    uint64_t at = (uint64_t)(uintptr_t)managed + each * CHUNK;
    uint32_t index = 0;
    while (chunks[index].address != at) index++;
    ArbTierRequest request = {
        .ticket = ++ticket, .generation = chunks[index].generation, .islands = islands,
        .chunk = index,
        .destination = destination == TO_SLOW ? ARB_TIER_TO_SLOW : ARB_TIER_TO_FAST};
    if (arb_tier_request(seat, &request) != 0) fail("the queue is full");
  }
  arb_tier_ring_bell(seat);
  for (uint32_t done = 0; done < count;) {
    ArbTierOutcome outcome;
    if (arb_tier_take_outcome(seat, &outcome) == 0) {
      usleep(20);
      continue;
    }
    if (outcome.status != ARB_TIER_MOVED || outcome.bytes_copied != moving_bytes())
      fail(seat->remark_count > 0 ? seat->remarks[0] : "a chunk did not move");
    stall_count += outcome.stall_count;
    mover_nanoseconds += outcome.cpu_ns;
    protected_nanoseconds = outcome.protected_ns;
    done++;
  }
}

/* --- The same by hand --- */

static void open_faults(void) {
  fault_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
  if (fault_fd < 0 || ioctl(fault_fd, UFFDIO_API, &api) != 0) fail("no userfaultfd");
}

static void enroll(char *place, uint64_t length, uint64_t mode) {
  struct uffdio_register request = {.range = {(uintptr_t)place, length}, .mode = mode};
  if (ioctl(fault_fd, UFFDIO_REGISTER, &request) != 0) fail("registering");
}

static void wake(char *place, uint64_t length) {
  struct uffdio_range range = {(uintptr_t)place, length};
  if (ioctl(fault_fd, UFFDIO_WAKE, &range) != 0) fail("waking");
}

static void run_to_slow(char *place, off_t offset, uint64_t length) {
  enroll(place, length, UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MISSING);
  struct uffdio_writeprotect request = {
      .range = {(uintptr_t)place, length}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
  if (ioctl(fault_fd, UFFDIO_WRITEPROTECT, &request) != 0) fail("protecting");
  if (pwrite(slow, place, length, offset) != (ssize_t)length) fail("pwrite");
  int protection = PROT_READ | PROT_WRITE;
  if (mmap(place, length, protection, MAP_SHARED | MAP_FIXED, slow, offset) == MAP_FAILED)
    fail("mmap");
  wake(place, length);
}

static void run_to_fast(char *place, off_t offset, uint64_t length) {
  /* A chunk is aligned, so that it can be a huge page. */
  char *fresh = length == CHUNK ? map_chunks(1) : map_plain(length), *empty = map_plain(length);
  if (madvise(fresh, length, MADV_POPULATE_WRITE) != 0) fail("populating");
  enroll(empty, length, UFFDIO_REGISTER_MODE_MISSING);
  if (mremap(empty, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
    fail("mremap");
  if (pread(slow, fresh, length, offset) != (ssize_t)length) fail("pread");
  if (mremap(fresh, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
    fail("mremap");
  wake(place, length);
}

/* Whole chunks, or one island after the other. */
static void copy_to(int destination, uint32_t number) {
  off_t slot = (off_t)((3 * BATCH + number) * CHUNK);
  uint64_t length = islands == UINT64_MAX ? CHUNK : ARB_TIER_ISLAND_BYTES;
  if (destination == TO_SLOW && fallocate(slow, FALLOC_FL_KEEP_SIZE, slot, CHUNK) != 0)
    fail("fallocate");
  for (uint64_t at = 0; at < CHUNK; at += length) {
    if ((islands >> at / ARB_TIER_ISLAND_BYTES & 1) == 0) continue;
    char *place = plain + number * CHUNK + at;
    if (destination == TO_SLOW) run_to_slow(place, slot + (off_t)at, length);
    else run_to_fast(place, slot + (off_t)at, length);
  }
  if (destination == TO_FAST &&
      fallocate(slow, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, slot, CHUNK) != 0)
    fail("punching");
}

/* --- Pairs --- */

typedef struct {
  double wall, cpu; /* microseconds for each chunk */
} Cost;

static double cpu_microseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static Cost time_mover(int destination) {
  double began = now_microseconds();
  mover_nanoseconds = 0;
  migrate(BATCH, destination);
  double wall = now_microseconds() - began;
  return (Cost){wall / BATCH, (double)mover_nanoseconds / 1e3 / BATCH};
}

static Cost time_plain(int destination) {
  double began = now_microseconds(), cpu_began = cpu_microseconds();
  for (uint32_t each = 0; each < BATCH; each++) copy_to(destination, each);
  double cpu = cpu_microseconds() - cpu_began;
  return (Cost){(now_microseconds() - began) / BATCH, cpu / BATCH};
}

/* Ratios pair by pair, and of each side's fastest tenth, which a busy machine spoils least. */
static void report(
    const char *what, const char *unit, double *mine, double *other, int count, double target) {
  double ratios[ROUNDS_MAX];
  for (int each = 0; each < count; each++) ratios[each] = mine[each] / other[each];
  qsort(ratios, (size_t)count, sizeof *ratios, compare);
  qsort(mine, (size_t)count, sizeof *mine, compare);
  qsort(other, (size_t)count, sizeof *other, compare);
  double median = quantile(ratios, count, 0.5);
  double fastest = quantile(mine, count, 0.1) / quantile(other, count, 0.1);
  printf(
      "tier-migrate %s pages, %s: %.2f (%.2f to %.2f; fastest tenths %.2f) of %s, %.0f us: "
      "target %.1f %s\n",
      is_huge ? "huge" : "small", what, median, quantile(ratios, count, 0.25),
      quantile(ratios, count, 0.75), fastest, unit, quantile(mine, count, 0.5), target,
      median <= target ? "met" : fastest <= target ? "met by the fastest" : "missed");
}

static void measure_costs(const char *what, int rounds) {
  double mines[2][2][ROUNDS_MAX], others[2][2][ROUNDS_MAX];
  for (int round = 0; round < rounds; round++) {
    for (int step = 0; step < 2; step++) {
      int way = step == 0 ? TO_SLOW : TO_FAST, is_first = round % 2 == 0;
      Cost other = {0, 0};
      if (!is_first) other = time_plain(way);
      Cost mine = time_mover(way);
      if (is_first) other = time_plain(way);
      mines[way][0][round] = mine.wall;
      mines[way][1][round] = mine.cpu;
      others[way][0][round] = other.wall;
      others[way][1][round] = other.cpu;
    }
  }
  const char *names[2][2] = {{"to fast", "to fast, CPU"}, {"to slow", "to slow, CPU"}};
  for (int way = 0; way < 2; way++)
    for (int kind = 0; kind < 2; kind++) {
      char name[64];
      snprintf(name, sizeof name, "%s%s", what, names[way][kind]);
      report(
          name, "a copy and its calls", mines[way][kind], others[way][kind], rounds,
          TARGET_RATIO);
    }
}

/* --- Stalls --- */

static struct {
  int is_stopping;
  uint64_t longest; /* in nanoseconds, since it was last set to 0 */
} writer;

static void *write_always(void *unused) {
  setpriority(PRIO_PROCESS, 0, 0);
  uint64_t turn = 0;
  double before = now_microseconds();
  while (!__atomic_load_n(&writer.is_stopping, __ATOMIC_RELAXED)) {
    turn++;
    ((volatile uint64_t *)managed)[turn * 1021 % (CHUNK / 8)] = turn;
    double now = now_microseconds();
    uint64_t pause = (uint64_t)((now - before) * 1e3);
    before = now;
    if (pause > __atomic_load_n(&writer.longest, __ATOMIC_RELAXED))
      __atomic_store_n(&writer.longest, pause, __ATOMIC_RELAXED);
  }
  return unused;
}

/* A copy by the kernel into memory that is not yet there. */
static double time_copy(int destination) {
  off_t offset = (off_t)((4 * BATCH - 1) * CHUNK);
  fallocate(slow, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, CHUNK);
  if (pwrite(slow, plain, 4096, offset + (off_t)CHUNK - 4096) != 4096) fail("pwrite");
  char *fresh = map_chunks(1);
  double began = now_microseconds();
  ssize_t count = destination == TO_SLOW ? pwrite(slow, plain, CHUNK, offset)
                                         : pread(slow, fresh, CHUNK, offset);
  double took = now_microseconds() - began;
  if (count != (ssize_t)CHUNK) fail("the plain copy");
  munmap(fresh, CHUNK);
  return took;
}

/* One stall, how long the chunk was protected, and the copy's time beside it; 0 if the writer did
 * not run into the migration. */
static int measure_stall(int destination, double *stall, double *held, double *copy) {
  usleep(2000);
  *copy = time_copy(destination);
  stall_count = 0;
  __atomic_store_n(&writer.longest, 0, __ATOMIC_RELAXED);
  migrate(1, destination);
  usleep(1000);
  *stall = (double)__atomic_load_n(&writer.longest, __ATOMIC_RELAXED) / 1e3;
  *held = (double)protected_nanoseconds / 1e3;
  return stall_count != 0 && *stall > 0;
}

static void measure_stalls(int rounds) {
  double mines[2][2][ROUNDS_MAX], others[2][2][ROUNDS_MAX];
  int counts[2] = {0, 0};
  pthread_t thread;
  writer.is_stopping = 0;
  pthread_create(&thread, NULL, write_always, NULL);
  for (int round = 0; round < rounds; round++) {
    for (int step = 0; step < 2; step++) {
      int way = step == 0 ? TO_SLOW : TO_FAST;
      double stall, held, copy;
      if (!measure_stall(way, &stall, &held, &copy)) continue;
      int place = counts[way]++;
      mines[way][0][place] = held;
      mines[way][1][place] = stall;
      others[way][0][place] = others[way][1][place] = copy;
    }
  }
  __atomic_store_n(&writer.is_stopping, 1, __ATOMIC_RELAXED);
  pthread_join(thread, NULL);
  const char *names[2][2] = {
      {"protected, to fast", "stall, to fast"}, {"protected, to slow", "stall, to slow"}};
  for (int way = 0; way < 2; way++)
    for (int kind = 0; kind < 2 && counts[way] > 0; kind++)
      report(
          names[way][kind], "a copy", mines[way][kind], others[way][kind], counts[way],
          TARGET_STALL);
  if (counts[TO_SLOW] == 0 || counts[TO_FAST] == 0)
    printf("tier-migrate: the writer ran into too few migrations\n");
}

int main(int count, char **arguments) {
  int is_smoke = count > 1 && strcmp(arguments[1], "--smoke") == 0;
  const char *folder = count > 1 + is_smoke ? arguments[1 + is_smoke] : "/dev/shm";
  int rounds = is_smoke ? 5 : ROUNDS_MAX;
  /* As the mover asks for it too. */
  setpriority(PRIO_PROCESS, 0, -15);
  join(folder);
  open_faults();
  for (is_huge = 0; is_huge < 2; is_huge++) {
    header->options = is_huge ? ARB_TIER_HUGE : 0;
    managed = map_chunks(BATCH);
    if (arb_tier_adopt((uintptr_t)managed, BATCH * CHUNK, PROT_READ | PROT_WRITE, 0) != 0)
      fail("adopting");
    plain = map_chunks(BATCH);
    memset(managed, 1, BATCH * CHUNK);
    memset(plain, 1, BATCH * CHUNK);
    islands = UINT64_MAX;
    measure_costs("", rounds);
    measure_stalls(rounds);
    islands = 0x1111111111111111ull;
    measure_costs("16 islands ", rounds);
  }
  printf("tier-migrate: done\n");
  fflush(stdout);
  _exit(0);
}
