/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * What programs do with memory, one kind per mode, over and over, with random sizes and contents
 * that depend on the seed alone. Prints a checksum of all that was read back, which has to be the
 * same with and without the tier library.
 *
 *   memory MODE SEED ROUNDS */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"

/* --- What one process does with its mappings --- */

static void do_unmap(void) {
  uint64_t bytes = MIB(4) + draw() % MIB(12);
  Block block = make(bytes, MAP_PRIVATE);
  fill(block, draw());
  /* A hole, then the front, then the rest, each read before it goes. */
  uint64_t hole = PAGES(draw() % bytes), length = PAGES(draw() % (bytes - hole) + 4096);
  note(block);
  CHECK(munmap(block.bytes + hole, length) == 0);
  Block front = {block.bytes, hole};
  Block back = {block.bytes + hole + length, UP(bytes) - hole - length};
  note(front);
  note(back);
  Block again = make_at(block.bytes + hole, length, MAP_PRIVATE | MAP_FIXED);
  note(again);
  fill(again, draw());
  note((Block){block.bytes, UP(bytes)});
  CHECK(munmap(block.bytes, UP(bytes)) == 0);
}

/* Memory that has come home in pieces, for advice that only the kernel can follow: to a place and
 * smaller, to a place and larger, and with its old place left empty. */
static void remap_plain(Block block) {
  uint64_t bytes = UP(block.count), half = PAGES(bytes / 2), more = bytes + MIB(1);
  fill(block, draw());
  pause_briefly();
  CHECK(madvise(block.bytes, bytes, MADV_DONTDUMP) == 0);
  Block place = make(more, MAP_PRIVATE);
  CHECK(mremap(block.bytes, bytes, half, MREMAP_MAYMOVE | MREMAP_FIXED, place.bytes) ==
        place.bytes);
  note((Block){place.bytes, half});
  Block wider = make(more, MAP_PRIVATE);
  CHECK(mremap(place.bytes, half, more, MREMAP_MAYMOVE | MREMAP_FIXED, wider.bytes) ==
        wider.bytes);
  note(wider);
  pause_briefly();
  char *moved = mremap(wider.bytes, more, more, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
  CHECK(moved != MAP_FAILED);
  note(wider); /* zero */
  note((Block){moved, more});
  char *grown = mremap(moved, more, more + MIB(3), MREMAP_MAYMOVE);
  CHECK(grown != MAP_FAILED);
  note((Block){grown, more + MIB(3)});
  CHECK(munmap(grown, more + MIB(3)) == 0 && munmap(wider.bytes, more) == 0);
  CHECK(munmap(place.bytes + half, more - half) == 0);
}

static void do_remap(void) {
  Block block = make(MIB(2) + draw() % MIB(8), MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 4; turn++) {
    uint64_t bytes = UP(MIB(1) + draw() % MIB(12));
    char *moved = mremap(block.bytes, UP(block.count), bytes, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    block = (Block){moved, bytes};
    note(block);
    pause_briefly();
    fill((Block){moved + bytes / 2, bytes / 4}, draw());
  }
  /* To a place of the program's choice, over other memory. */
  Block target = make(UP(block.count), MAP_PRIVATE);
  fill(target, draw());
  CHECK(mremap(block.bytes, UP(block.count), UP(block.count), MREMAP_MAYMOVE | MREMAP_FIXED,
               target.bytes) == target.bytes);
  note(target);
  remap_plain(target);
}

static void do_protect(void) {
  Block block = make(MIB(8), MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 16; turn++) {
    uint64_t start = PAGES(draw() % MIB(8)), bytes = UP(1 + draw() % (MIB(8) - start));
    int whole = turn % 4 == 0;
    if (whole) start = 0, bytes = MIB(8);
    CHECK(mprotect(block.bytes + start, bytes, turn % 3 == 0 ? PROT_NONE : PROT_READ) == 0);
    pause_briefly();
    CHECK(mprotect(block.bytes + start, bytes, PROT_READ | PROT_WRITE) == 0);
    note(block);
    fill((Block){block.bytes + start, bytes}, draw());
  }
  CHECK(munmap(block.bytes, MIB(8)) == 0);
}

/* A reservation that becomes memory bit by bit, as heaps of managed languages do. */
static void do_reserve(void) {
  char *place = mmap(NULL, MIB(64), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(place != MAP_FAILED);
  for (uint64_t done = 0; done < MIB(24);) {
    uint64_t bytes = UP(1 + draw() % MIB(3));
    CHECK(mprotect(place + done, bytes, PROT_READ | PROT_WRITE) == 0);
    note((Block){place + done, bytes});
    fill((Block){place + done, bytes}, draw());
    done += bytes;
    note((Block){place, done});
  }
  CHECK(munmap(place, MIB(64)) == 0);
}

static void do_advise(void) {
  Block block = make(MIB(8), MAP_PRIVATE);
  fill(block, draw());
  for (int turn = 0; turn < 12; turn++) {
    uint64_t start = PAGES(draw() % MIB(8)), bytes = UP(1 + draw() % (MIB(8) - start));
    Block part = {block.bytes + start, bytes};
    CHECK(madvise(part.bytes, bytes, MADV_DONTNEED) == 0);
    note(block); /* zero there */
    fill(part, draw());
    pause_briefly();
    /* Either its old bytes or zeros, page by page, and after a store what was stored. */
    CHECK(madvise(part.bytes, bytes, MADV_FREE) == 0);
    for (uint64_t page = 0; page < bytes; page += 4096)
      CHECK(part.bytes[page + 64] == 0 || part.bytes[page + 64] == part.bytes[page + 64]);
    fill(part, draw());
    note(block);
    static const int hints[] = {MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_WILLNEED, MADV_RANDOM,
                                MADV_NORMAL, MADV_SEQUENTIAL};
    CHECK(madvise(part.bytes, bytes, hints[turn % 6]) == 0);
    if (turn == 9) CHECK(madvise(part.bytes, bytes, MADV_DONTFORK) == 0);
    note(block);
  }
  CHECK(munmap(block.bytes, MIB(8)) == 0);
}

static void do_small(void) {
  /* Neighbours that add up to chunks. */
  char *place = mmap(NULL, MIB(16), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(place != MAP_FAILED && munmap(place, MIB(16)) == 0);
  for (uint64_t done = 0; done < MIB(16); done += 256 << 10) {
    Block block = make_at(place + done, 256 << 10, MAP_PRIVATE | MAP_FIXED);
    fill(block, draw());
    note((Block){place, done});
  }
  for (uint64_t turn = 0; turn < 8; turn++) {
    note((Block){place, MIB(16)});
    fill((Block){place + PAGES(draw() % MIB(12)), MIB(4)}, draw());
    pause_briefly();
  }
  CHECK(munmap(place, MIB(16)) == 0);
}

static void do_populate(void) {
  Block block = make(MIB(6), MAP_PRIVATE | MAP_POPULATE);
  note(block);
  fill(block, draw());
  pause_briefly();
  note(block);
  CHECK(munmap(block.bytes, MIB(6)) == 0);
}

static void do_lock(void) {
  Block block = make(MIB(4), MAP_PRIVATE);
  fill(block, draw());
  uint64_t start = PAGES(draw() % MIB(3));
  /* May be refused; then memory is as it was. */
  int answer = mlock(block.bytes + start, 65536);
  CHECK(answer == 0 || errno == ENOMEM || errno == EPERM);
  note(block);
  fill(block, draw());
  CHECK(munlock(block.bytes, MIB(4)) == 0);
  pause_briefly();
  note(block);
  CHECK(munmap(block.bytes, MIB(4)) == 0);
}

/* Memory that goes behind everybody's back: an instruction, and something else in its place. */
static void do_behind(void) {
  Block block = make(MIB(8), MAP_PRIVATE);
  fill(block, draw());
  uint64_t start = PAGES(draw() % MIB(6)), bytes = UP(1 + draw() % MIB(2));
  note((Block){block.bytes, start});
  CHECK(arb_raw(SYS_munmap, (long)(block.bytes + start), (long)bytes, 0, 0, 0, 0) == 0);
  int file = memfd_create("behind", MFD_CLOEXEC);
  CHECK(file >= 0 && ftruncate(file, (off_t)bytes) == 0);
  CHECK(arb_raw(SYS_mmap, (long)(block.bytes + start), (long)bytes, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_FIXED, file, 0) == (long)(block.bytes + start));
  uint64_t kept = draw();
  fill((Block){block.bytes + start, bytes}, kept);
  for (int turn = 0; turn < 4; turn++) pause_briefly();
  note((Block){block.bytes, start});
  note((Block){block.bytes + start, bytes});
  /* It is still the file that is mapped: what is stored reaches it. */
  char byte = 0;
  block.bytes[start + 100] = 77;
  CHECK(pread(file, &byte, 1, 100) == 1 && byte == 77);
  close(file);
  CHECK(arb_raw(SYS_munmap, (long)block.bytes, (long)MIB(8), 0, 0, 0, 0) == 0);
}

int main(int count, char **words) {
  static const Mode modes[] = {
      {"unmap", do_unmap}, {"remap", do_remap}, {"protect", do_protect}, {"reserve", do_reserve},
      {"advise", do_advise}, {"small", do_small}, {"populate", do_populate}, {"lock", do_lock},
      {"behind", do_behind}};
  return run_modes(modes, sizeof modes / sizeof modes[0], count, words);
}
