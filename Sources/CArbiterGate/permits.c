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

/* Hands free permits to the oldest waiters. */
static void hand_over(ArbPage *page, ArbPermits *permits) {
  while (permits->queue_head != ARB_NO_SLOT && permits->holder_count < permits->permit_count) {
    ArbSlot *slot = arb_page_slot(page, permits->queue_head);
    permits->queue_head = slot->permit_next;
    if (permits->queue_head == ARB_NO_SLOT) permits->queue_tail = ARB_NO_SLOT;
    grant(permits, slot);
    wake(slot);
  }
}

/* Counts everything again from the states of the slots. */
static void rebuild(ArbPage *page, uint32_t set_index) {
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
    after = arb_page_slot(page, next)->permit_ticket + 1;
    enqueue(page, permits, next);
  }
  hand_over(page, permits);
}

/* Locks the permits of a set; after the death of a thread that held the lock, repairs them. */
static void lock(ArbPage *page, uint32_t set_index) {
  ArbPermits *permits = &page->sets[set_index].permits;
  if (pthread_mutex_lock(&permits->lock) != EOWNERDEAD) return;
  pthread_mutex_consistent(&permits->lock);
  rebuild(page, set_index);
}

/* Whether the waiting slot has been handed a permit. */
static int has_turn(const ArbSlot *slot) {
  /* Acquires what the last holder wrote (wake). */
  return __atomic_load_n(&slot->permit_wake, __ATOMIC_ACQUIRE) != 0;
}

/* Repairs what dead threads left, and looks at the slot's own state: whoever granted it may have
 * died before the wake-up. Gives the wait up where `is_last`. */
static void look_around(ArbGate *gate, int is_last) {
  ArbSlot *slot = gate->slot;
  arb_page_reap(gate->page);
  lock(gate->page, slot->set_index);
  hand_over(gate->page, &gate->set->permits);
  if (slot->permit_state == ARB_PERMIT_HELD) {
    __atomic_store_n(&slot->permit_wake, 1, __ATOMIC_RELEASE);
  } else if (is_last) {
    slot->permit_state = ARB_PERMIT_NONE;
    rebuild(gate->page, slot->set_index);
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
  int looks = ARB_PERMIT_WAIT_NANOSECONDS / ARB_PERMIT_LOOK_NANOSECONDS;
  while (!has_turn(slot)) {
    struct timespec limit = {0, ARB_PERMIT_LOOK_NANOSECONDS};
    long status = syscall(SYS_futex, &slot->permit_wake, FUTEX_WAIT, 0, &limit, NULL, 0);
    if (status == 0 || errno != ETIMEDOUT) continue;
    looks--;
    look_around(gate, looks <= 0);
    if (looks <= 0) return has_turn(slot);
  }
  return 1;
}

uint64_t arb_permit_acquire(ArbGate *gate) {
  ArbSlot *slot = gate->slot;
  ArbPermits *permits = &gate->set->permits;
  int saved_errno = errno;
  lock(gate->page, slot->set_index);
  uint64_t ticket = permits->next_ticket++;
  slot->permit_ticket = ticket;
  if (permits->queue_head == ARB_NO_SLOT && permits->holder_count < permits->permit_count) {
    grant(permits, slot);
    pthread_mutex_unlock(&permits->lock);
    return ticket;
  }
  __atomic_store_n(&slot->permit_wake, 0, __ATOMIC_RELAXED);
  slot->permit_state = ARB_PERMIT_WAITING;
  enqueue(gate->page, permits, gate->slot_index);
  pthread_mutex_unlock(&permits->lock);
  int is_granted = wait_for_turn(gate);
  errno = saved_errno;
  return is_granted ? ticket : ARB_NO_TICKET;
}

void arb_permit_release(ArbGate *gate) {
  int saved_errno = errno;
  lock(gate->page, gate->slot->set_index);
  if (gate->slot->permit_state == ARB_PERMIT_HELD) {
    gate->slot->permit_state = ARB_PERMIT_NONE;
    gate->set->permits.holder_count--;
  }
  hand_over(gate->page, &gate->set->permits);
  pthread_mutex_unlock(&gate->set->permits.lock);
  errno = saved_errno;
}

void arb_permit_forget(ArbPage *page, ArbSlot *slot) {
  uint32_t set_index = slot->set_index;
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
  for (uint32_t index = permits->queue_head; index != ARB_NO_SLOT;
       index = arb_page_slot(page, index)->permit_next) {
    counts->waiting_count++;
  }
  pthread_mutex_unlock(&page->sets[set_index].permits.lock);
}
