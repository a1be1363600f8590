/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterGate.h"

#include "CArbiter.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Turns that a waiter spins before it sleeps; a copy of a few KiB ends sooner. */
#define SPIN_TURNS 64

static void grant(ArbPermits *permits, ArbSlot *slot) {
  slot->permit_state = ARB_PERMIT_HELD;
  permits->holder_count++;
  if (permits->holder_count > permits->holder_count_max) {
    permits->holder_count_max = permits->holder_count;
  }
}

/* Puts a waiting slot at the end of a queue whose tail lies within the page. */
static void enqueue(ArbPage *page, ArbPermits *permits, uint32_t index) {
  arb_page_slot(page, index)->permit_next = ARB_NO_SLOT;
  if (permits->queue_tail == ARB_NO_SLOT) {
    permits->queue_head = index;
  } else {
    arb_page_slot(page, permits->queue_tail)->permit_next = index;
  }
  permits->queue_tail = index;
}

/* Wakes a slot whose state has been changed. */
static void wake(ArbSlot *slot) {
  /* Releases the grant, and what the last holder wrote, to wait_for_turn. */
  __atomic_store_n(&slot->permit_wake, 1, __ATOMIC_RELEASE);
  syscall(SYS_futex, &slot->permit_wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Counts everything again from the states of the slots. */
static void recount(ArbPage *page, uint32_t set_index) {
  ArbPermits *permits = &page->sets[set_index].permits;
  permits->holder_count = 0;
  permits->queue_head = permits->queue_tail = ARB_NO_SLOT;
  uint64_t after = 0;
  for (uint32_t index = 0; index < arb_page_slots_used(page); index++) {
    const ArbSlot *slot = arb_page_slot(page, index);
    if (slot->set_index == set_index && slot->permit_state == ARB_PERMIT_HELD) {
      permits->holder_count++;
    }
  }
  /* The waiters in the order of their tickets: the next one is the least above the last. */
  for (;;) {
    uint32_t next = ARB_NO_SLOT;
    for (uint32_t index = 0; index < arb_page_slots_used(page); index++) {
      const ArbSlot *slot = arb_page_slot(page, index);
      if (slot->set_index != set_index || slot->permit_state != ARB_PERMIT_WAITING ||
          slot->permit_ticket < after) {
        continue;
      }
      if (next == ARB_NO_SLOT || slot->permit_ticket < arb_page_slot(page, next)->permit_ticket) {
        next = index;
      }
    }
    if (next == ARB_NO_SLOT) break;
    enqueue(page, permits, next);
    if (arb_page_slot(page, next)->permit_ticket == UINT64_MAX) break;
    after = arb_page_slot(page, next)->permit_ticket + 1;
  }
}

/* Hands free permits to the oldest waiters. */
static void hand_over(ArbPage *page, uint32_t set_index) {
  ArbPermits *permits = &page->sets[set_index].permits;
  while (permits->queue_head != ARB_NO_SLOT && permits->holder_count < permits->permit_count) {
    if (permits->queue_head >= page->slot_count ||
        arb_page_slot(page, permits->queue_head)->permit_state != ARB_PERMIT_WAITING) {
      /* Somebody who is no gate wrote here. */
      recount(page, set_index);
      continue;
    }
    ArbSlot *slot = arb_page_slot(page, permits->queue_head);
    permits->queue_head = slot->permit_next;
    if (permits->queue_head == ARB_NO_SLOT) permits->queue_tail = ARB_NO_SLOT;
    grant(permits, slot);
    wake(slot);
  }
}

static void rebuild(ArbPage *page, uint32_t set_index) {
  recount(page, set_index);
  hand_over(page, set_index);
}

/* Locks the permits of a set. Where a thread died while it held the lock, or this thread left by a
 * jump out of a signal handler while it did, the permits may be half changed, and are repaired. */
static void lock(ArbPage *page, uint32_t set_index) {
  ArbPermits *permits = &page->sets[set_index].permits;
  int status = pthread_mutex_lock(&permits->lock);
  if (status == EOWNERDEAD) pthread_mutex_consistent(&permits->lock);
  if (status == EOWNERDEAD || status == EDEADLK) rebuild(page, set_index);
}

/* From the thread's own memory, not from the slot. */
static uint32_t set_of(const ArbGate *gate) { return (uint32_t)(gate->set - gate->page->sets); }

static int64_t now_nanoseconds(void) {
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether the waiting slot has been handed a permit. */
static int has_turn(const ArbSlot *slot) {
  /* Acquires what the last holder wrote (wake). */
  return __atomic_load_n(&slot->permit_wake, __ATOMIC_ACQUIRE) != 0;
}

/* Whether the counts and the queue say what the states of the slots say. */
static int is_right(const ArbPage *page, uint32_t set_index) {
  const ArbPermits *permits = &page->sets[set_index].permits;
  uint32_t holders = 0, waiters = 0, queued = 0;
  for (uint32_t index = 0; index < arb_page_slots_used(page); index++) {
    const ArbSlot *slot = arb_page_slot(page, index);
    if (slot->set_index != set_index) continue;
    holders += slot->permit_state == ARB_PERMIT_HELD;
    waiters += slot->permit_state == ARB_PERMIT_WAITING;
  }
  for (uint32_t index = permits->queue_head; index < page->slot_count && queued <= waiters;
       index = arb_page_slot(page, index)->permit_next) {
    queued++;
  }
  return holders == permits->holder_count && waiters == queued;
}

/* Repairs what dead threads left, and what a child did that was forked in a handler and went on
 * with its parent's store; and looks at the slot's own state: whoever granted it may have
 * died before the wake-up. Gives the wait up where `is_last`. */
static void look_around(ArbGate *gate, int is_last) {
  ArbSlot *slot = gate->slot;
  arb_page_reap(gate->page);
  lock(gate->page, set_of(gate));
  if (!is_right(gate->page, set_of(gate))) recount(gate->page, set_of(gate));
  hand_over(gate->page, set_of(gate));
  if (slot->permit_state == ARB_PERMIT_HELD) {
    __atomic_store_n(&slot->permit_wake, 1, __ATOMIC_RELEASE);
  } else if (is_last) {
    slot->permit_state = ARB_PERMIT_NONE;
    rebuild(gate->page, set_of(gate));
  }
  pthread_mutex_unlock(&gate->set->permits.lock);
}

/* Returns whether the slot holds a permit. */
static int wait_for_turn(ArbGate *gate) {
  ArbSlot *slot = gate->slot;
  for (int turn = 0; turn < SPIN_TURNS; turn++) {
    if (has_turn(slot)) return 1;
    arb_pause();
  }
  /* By the clock, since a program's signals may interrupt every sleep before its time. */
  int64_t now = now_nanoseconds();
  int64_t end = now + ARB_PERMIT_WAIT_NANOSECONDS, next_look = now + ARB_PERMIT_LOOK_NANOSECONDS;
  for (; !has_turn(slot); now = now_nanoseconds()) {
    if (gate->is_copy) return 0;
    if (now < next_look) {
      struct timespec limit = {0, next_look - now};
      syscall(SYS_futex, &slot->permit_wake, FUTEX_WAIT, 0, &limit, NULL, 0);
      continue;
    }
    look_around(gate, now >= end);
    if (now >= end) return has_turn(slot);
    next_look = now + ARB_PERMIT_LOOK_NANOSECONDS;
  }
  return 1;
}

uint64_t arb_permit_acquire(ArbGate *gate) {
  ArbSlot *slot = gate->slot;
  ArbPermits *permits = &gate->set->permits;
  if (gate->is_copy) return ARB_NO_TICKET;
  int saved_errno = errno;
  lock(gate->page, set_of(gate));
  if (gate->is_copy) {
    pthread_mutex_unlock(&permits->lock);
    return ARB_NO_TICKET;
  }
  if (slot->permit_state != ARB_PERMIT_NONE) {
    /* The thread left its last store, or the wait for it, by a jump. */
    slot->permit_state = ARB_PERMIT_NONE;
    rebuild(gate->page, set_of(gate));
  }
  uint64_t ticket = permits->next_ticket++;
  slot->permit_ticket = ticket;
  if (permits->queue_head == ARB_NO_SLOT && permits->holder_count < permits->permit_count) {
    grant(permits, slot);
    pthread_mutex_unlock(&permits->lock);
    return ticket;
  }
  __atomic_store_n(&slot->permit_wake, 0, __ATOMIC_RELAXED);
  slot->permit_state = ARB_PERMIT_WAITING;
  if (permits->queue_tail == ARB_NO_SLOT || permits->queue_tail < gate->page->slot_count) {
    enqueue(gate->page, permits, gate->slot_index);
  } else {
    recount(gate->page, set_of(gate));
  }
  pthread_mutex_unlock(&permits->lock);
  int is_granted = wait_for_turn(gate);
  errno = saved_errno;
  return is_granted ? ticket : ARB_NO_TICKET;
}

void arb_permit_release(ArbGate *gate) {
  if (gate->is_copy) return;
  int saved_errno = errno;
  lock(gate->page, set_of(gate));
  uint32_t state = gate->slot->permit_state;
  /* The fork may have come while the thread waited for the lock. */
  if (gate->is_copy) {
    pthread_mutex_unlock(&gate->set->permits.lock);
    return;
  }
  gate->slot->permit_state = ARB_PERMIT_NONE;
  if (state == ARB_PERMIT_HELD && gate->set->permits.holder_count > 0) {
    gate->set->permits.holder_count--;
  } else if (state != ARB_PERMIT_NONE) {
    recount(gate->page, set_of(gate));
  }
  hand_over(gate->page, set_of(gate));
  pthread_mutex_unlock(&gate->set->permits.lock);
  errno = saved_errno;
}

void arb_permit_forget(ArbPage *page, ArbSlot *slot) {
  uint32_t set_index = slot->set_index;
  if (set_index >= ARB_SET_COUNT) return;
  lock(page, set_index);
  if (slot->permit_state == ARB_PERMIT_HELD) page->sets[set_index].permits.recovered_count++;
  if (slot->permit_state != ARB_PERMIT_NONE) {
    slot->permit_state = ARB_PERMIT_NONE;
    rebuild(page, set_index);
  }
  pthread_mutex_unlock(&page->sets[set_index].permits.lock);
}

void arb_permits_read(ArbPage *page, uint32_t set_index, ArbPermitCounts *counts) {
  lock(page, set_index);
  const ArbPermits *permits = &page->sets[set_index].permits;
  *counts = (ArbPermitCounts){.requested_count = permits->next_ticket,
                              .holder_count = permits->holder_count,
                              .holder_count_max = permits->holder_count_max,
                              .recovered_count = permits->recovered_count};
  /* Ends where the queue does, and where somebody who is no gate wrote into it. */
  for (uint32_t index = permits->queue_head;
       index < page->slot_count && counts->waiting_count < page->slot_count;
       index = arb_page_slot(page, index)->permit_next) {
    counts->waiting_count++;
  }
  pthread_mutex_unlock(&page->sets[set_index].permits.lock);
}
