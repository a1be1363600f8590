/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "CArbiterGate.h"
#include "robust_mutex.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

static int fill(ArbPage *page, const ArbPageParameters *parameters) {
  int status = arb_make_robust_mutex(&page->registry);
  for (uint32_t index = 0; index < ARB_SET_COUNT && status == 0; index++) {
    ArbPermits *permits = &page->sets[index].permits;
    permits->permit_count = parameters->permit_count;
    permits->queue_head = permits->queue_tail = ARB_NO_SLOT;
    status = arb_make_robust_mutex(&permits->lock);
  }
  for (uint32_t index = 0; index < page->slot_count && status == 0; index++) {
    ArbSlot *slot = arb_page_slot(page, index);
    slot->permit_next = ARB_NO_SLOT;
    status = arb_make_robust_mutex(&slot->owner);
  }
  strcpy(page->sets[ARB_SET_UNKNOWN].name, "unknown");
  return status;
}

static uint64_t records_offset_of(uint32_t slots) {
  return round_up(sizeof(ArbPage), 4096) + round_up((uint64_t)slots * sizeof(ArbSlot), 4096);
}

static uint64_t byte_count_of(uint32_t slots) {
  return records_offset_of(slots) + (uint64_t)slots * ARB_RECORD_COUNT * sizeof(ArbRecord);
}

int64_t arb_page_create(const ArbPageParameters *parameters, ArbMapping *mapping) {
  mapping->page = NULL;
  mapping->descriptor = -1;
  uint32_t slots = parameters->slot_count;
  if (slots < 1 || slots > ARB_SLOT_COUNT_MAX || parameters->permit_count < 1 ||
      !(parameters->ticks_per_nanosecond > 0) || parameters->maximum_wait_ticks < 0) {
    return -EINVAL;
  }
  uint64_t slots_offset = round_up(sizeof(ArbPage), 4096);
  uint64_t records_offset = records_offset_of(slots);
  uint64_t bytes = byte_count_of(slots);
  int descriptor = memfd_create("arbiter-control", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -errno;
  int status = 0;
  ArbPage *page = MAP_FAILED;
  /* Sealed, so that nobody can cut the file short under the gates. */
  if (ftruncate(descriptor, (off_t)bytes) != 0 ||
      fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    status = errno;
  } else {
    page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (page == MAP_FAILED) status = errno;
  }
  if (status == 0) {
    page->version = ARB_PAGE_VERSION;
    page->slot_count = slots;
    page->byte_count = bytes;
    page->slots_offset = slots_offset;
    page->records_offset = records_offset;
    page->ticks_per_nanosecond = parameters->ticks_per_nanosecond;
    page->maximum_wait_ticks = parameters->maximum_wait_ticks;
    page->scheme = parameters->scheme;
    page->ring_count = parameters->ring_count;
    page->ring_slots = parameters->ring_slots;
    page->span_bytes = parameters->span_bytes;
    status = fill(page, parameters);
  }
  if (status != 0) {
    if (page != MAP_FAILED) munmap(page, bytes);
    close(descriptor);
    return -status;
  }
  /* Releases everything above to arb_page_open. */
  __atomic_store_n(&page->magic, ARB_PAGE_MAGIC, __ATOMIC_RELEASE);
  mapping->page = page;
  mapping->descriptor = descriptor;
  return 0;
}

/* Whether a mapped header describes a page that fits into the file. */
static int is_sound(const ArbPage *page, uint64_t file_bytes) {
  return __atomic_load_n(&page->magic, __ATOMIC_ACQUIRE) == ARB_PAGE_MAGIC &&
         page->version == ARB_PAGE_VERSION && page->slot_count >= 1 &&
         page->slot_count <= ARB_SLOT_COUNT_MAX && page->byte_count == file_bytes &&
         page->slots_offset == round_up(sizeof(ArbPage), 4096) &&
         page->records_offset == records_offset_of(page->slot_count) &&
         page->byte_count == byte_count_of(page->slot_count) && page->ticks_per_nanosecond > 0 &&
         page->maximum_wait_ticks >= 0;
}

/* Whether nobody can cut the file short, which would be a SIGBUS in every gate. */
static int is_sealed(int descriptor) {
  int seals = fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

static int64_t open_page(const char *path, int flags, int protection, ArbMapping *mapping) {
  mapping->page = NULL;
  mapping->descriptor = -1;
  int descriptor = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (descriptor < 0) return -errno;
  struct stat facts;
  int64_t status = 0;
  void *page = MAP_FAILED;
  if (fstat(descriptor, &facts) != 0) {
    status = -errno;
  } else if ((uint64_t)facts.st_size < sizeof(ArbPage) || !is_sealed(descriptor)) {
    status = -EPROTO;
  } else {
    page = mmap(NULL, (size_t)facts.st_size, protection, MAP_SHARED, descriptor, 0);
    if (page == MAP_FAILED) {
      status = -errno;
    } else if (!is_sound(page, (uint64_t)facts.st_size)) {
      munmap(page, (size_t)facts.st_size);
      status = -EPROTO;
    }
  }
  close(descriptor);
  if (status == 0) mapping->page = page;
  return status;
}

int64_t arb_page_open(const char *path, ArbMapping *mapping) {
  return open_page(path, O_RDWR, PROT_READ | PROT_WRITE, mapping);
}

int64_t arb_page_open_to_read(const char *path, ArbMapping *mapping) {
  return open_page(path, O_RDONLY, PROT_READ, mapping);
}

void arb_page_close_reading(ArbMapping *mapping) {
  if (mapping->page != NULL) munmap(mapping->page, mapping->page->byte_count);
  mapping->page = NULL;
}

void arb_page_close(ArbMapping *mapping) {
  ArbPage *page = mapping->page;
  if (mapping->descriptor >= 0) close(mapping->descriptor);
  mapping->descriptor = -1;
  mapping->page = NULL;
  if (page == NULL) return;
  arb_page_reap(page);
  int32_t process = (int32_t)getpid();
  for (uint32_t index = 0; index < page->slot_count; index++) {
    const ArbSlot *slot = arb_page_slot(page, index);
    if (__atomic_load_n(&slot->is_attached, __ATOMIC_ACQUIRE) &&
        __atomic_load_n(&slot->process, __ATOMIC_RELAXED) == process) {
      return;
    }
  }
  munmap(page, page->byte_count);
}

void arb_set_name(ArbPage *page, uint32_t index, const char *name, uint32_t module_count) {
  ArbSet *set = &page->sets[index];
  strncpy(set->name, name, ARB_SET_NAME_BYTES - 1);
  set->module_count = module_count;
}

int64_t arb_set_add_device(ArbPage *page, uint32_t index, uint32_t major, uint32_t minor) {
  ArbSet *set = &page->sets[index];
  if (set->device_count >= ARB_SET_DEVICES_MAX) return -ENOSPC;
  set->devices[set->device_count].major = major;
  set->devices[set->device_count].minor = minor;
  set->device_count++;
  return 0;
}

void arb_set_activate(ArbPage *page, uint32_t index, uint32_t matches_all) {
  page->sets[index].matches_all = matches_all;
  __atomic_store_n(&page->sets[index].is_active, 1, __ATOMIC_RELEASE);
}

uint32_t arb_page_set_of_device(const ArbPage *page, uint32_t major, uint32_t minor) {
  uint32_t fallback = ARB_SET_UNKNOWN;
  for (uint32_t index = 1; index < ARB_SET_COUNT; index++) {
    const ArbSet *set = &page->sets[index];
    if (!__atomic_load_n(&set->is_active, __ATOMIC_ACQUIRE)) continue;
    if (set->matches_all) fallback = index;
    for (uint32_t place = 0; place < set->device_count && place < ARB_SET_DEVICES_MAX; place++) {
      if (set->devices[place].major == major && set->devices[place].minor == minor) return index;
    }
  }
  return fallback;
}

/* In place of a session's process: the run has ended, a thread of its programs still runs. */
#define SESSION_ENDED (-1)

/* Sessions are taken and ended under the lock, so that nobody ends one that another has ended and a
 * third has taken since. Owners of slots are only tried under it, and nobody who holds a set's
 * permits waits for it. */
static void lock_registry(ArbPage *page) {
  if (pthread_mutex_lock(&page->registry) == EOWNERDEAD) pthread_mutex_consistent(&page->registry);
}

static void end_session(ArbPage *page, uint32_t session);

/* Takes back the sessions of runs that are gone and whose threads have ended. */
static void reclaim_sessions(ArbPage *page) {
  for (uint32_t session = 1; session < ARB_SESSION_COUNT; session++) {
    const ArbSession *place = &page->sessions[session];
    if (!__atomic_load_n(&place->is_used, __ATOMIC_ACQUIRE)) continue;
    /* 0 is a session whose taker has not written its number yet. */
    int32_t process = place->process;
    if (process == 0) continue;
    if (process == SESSION_ENDED || (kill(process, 0) != 0 && errno == ESRCH)) {
      end_session(page, session);
    }
  }
}

static int64_t take_session(ArbPage *page) {
  for (uint32_t session = 1; session < ARB_SESSION_COUNT; session++) {
    ArbSession *place = &page->sessions[session];
    uint32_t unused = 0;
    /* Acquires the reset of the previous owner (arb_page_end_session). */
    if (__atomic_compare_exchange_n(&place->is_used, &unused, 1, 0, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      place->process = (int32_t)getpid();
      return session;
    }
  }
  return -EUSERS;
}

int64_t arb_page_begin_session(ArbPage *page) {
  lock_registry(page);
  int64_t session = take_session(page);
  if (session < 0) {
    reclaim_sessions(page);
    session = take_session(page);
  }
  pthread_mutex_unlock(&page->registry);
  return session;
}

void arb_page_end_session(ArbPage *page, uint32_t session) {
  if (session == 0 || session >= ARB_SESSION_COUNT) return;
  lock_registry(page);
  end_session(page, session);
  pthread_mutex_unlock(&page->registry);
}

static void end_session(ArbPage *page, uint32_t session) {
  ArbSession *place = &page->sessions[session];
  /* What the session's threads left in slots must not count for whoever takes the session next. A
   * thread that still runs keeps its slot, and with it the session, which whoever finds none free
   * takes back later. */
  int is_idle = 1;
  for (uint32_t index = 0; index < arb_page_slots_used(page); index++) {
    ArbSlot *slot = arb_page_slot(page, index);
    if (arb_load_32(&slot->session) != session) continue;
    int status = pthread_mutex_trylock(&slot->owner);
    if (status == EOWNERDEAD) {
      pthread_mutex_consistent(&slot->owner);
      arb_permit_forget(page, slot);
      __atomic_store_n(&slot->is_attached, 0, __ATOMIC_RELEASE);
    } else if (status != 0) {
      is_idle = 0;
      continue;
    }
    __atomic_store_n(&slot->session, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&slot->owner);
  }
  place->process = is_idle ? 0 : SESSION_ENDED;
  if (!is_idle) return;
  memset(&place->departed, 0, sizeof place->departed);
  place->departed_threads = 0;
  __atomic_store_n(&place->is_used, 0, __ATOMIC_RELEASE);
}

uint32_t arb_page_reap(ArbPage *page) {
  uint32_t reaped = 0;
  for (uint32_t index = 0; index < arb_page_slots_used(page); index++) {
    ArbSlot *slot = arb_page_slot(page, index);
    /* Acquires the owner's fields (arb_gate_attach). */
    if (!__atomic_load_n(&slot->is_attached, __ATOMIC_ACQUIRE)) continue;
    int status = pthread_mutex_trylock(&slot->owner);
    if (status == EBUSY) continue;
    if (status == EOWNERDEAD) pthread_mutex_consistent(&slot->owner);
    if (status == EOWNERDEAD || status == 0) {
      /* Its owner is dead, or has detached since the flag was read. */
      if (__atomic_load_n(&slot->is_attached, __ATOMIC_RELAXED)) {
        arb_permit_forget(page, slot);
        __atomic_store_n(&slot->is_attached, 0, __ATOMIC_RELEASE);
        reaped++;
      }
      pthread_mutex_unlock(&slot->owner);
    }
  }
  if (reaped > 0) arb_page_ring(page);
  return reaped;
}

uint32_t arb_page_attached_count(const ArbPage *page, uint32_t set_index) {
  uint32_t count = 0;
  for (uint32_t index = 0; index < arb_page_slots_used(page); index++) {
    const ArbSlot *slot = arb_page_slot(page, index);
    if (__atomic_load_n(&slot->is_attached, __ATOMIC_ACQUIRE) &&
        arb_load_32(&slot->set_index) == set_index) {
      count++;
    }
  }
  return count;
}

void arb_slot_read(const ArbPage *page, uint32_t index, ArbCounts *own) {
  const ArbSlot *slot = arb_page_slot(page, index);
  const uint64_t *counts = (const uint64_t *)&slot->counts;
  const uint64_t *base = (const uint64_t *)&slot->base;
  uint64_t *sums = (uint64_t *)own;
  for (size_t word = 0; word < sizeof(ArbCounts) / sizeof(uint64_t); word++) {
    sums[word] = arb_load(counts + word) - arb_load(base + word);
  }
  own->requested_ticks_max = arb_load(&slot->counts.requested_ticks_max);
}

void arb_counts_add(ArbCounts *sum, const ArbCounts *counts) {
  uint64_t longest = sum->requested_ticks_max > counts->requested_ticks_max
                         ? sum->requested_ticks_max
                         : counts->requested_ticks_max;
  for (size_t word = 0; word < sizeof *sum / sizeof(uint64_t); word++) {
    ((uint64_t *)sum)[word] += ((const uint64_t *)counts)[word];
  }
  /* The one figure that is no sum. */
  sum->requested_ticks_max = longest;
}

uint64_t arb_session_read(ArbPage *page, uint32_t session, ArbCounts *departed) {
  lock_registry(page);
  *departed = page->sessions[session].departed;
  uint64_t threads = page->sessions[session].departed_threads;
  pthread_mutex_unlock(&page->registry);
  return threads;
}

uint64_t arb_session_glance(const ArbPage *page, uint32_t session, ArbCounts *departed) {
  const ArbSession *place = &page->sessions[session];
  const uint64_t *words = (const uint64_t *)&place->departed;
  for (size_t word = 0; word < sizeof *departed / sizeof(uint64_t); word++) {
    ((uint64_t *)departed)[word] = arb_load(words + word);
  }
  return arb_load(&place->departed_threads);
}

int32_t arb_session_process(const ArbPage *page, uint32_t session) {
  const ArbSession *place = &page->sessions[session];
  /* Acquires the session's taking (take_session). */
  if (!__atomic_load_n(&place->is_used, __ATOMIC_ACQUIRE)) return 0;
  return (int32_t)arb_load_32((const uint32_t *)&place->process);
}

void arb_page_ring(ArbPage *page) {
  /* Sequentially consistent against the sleeper's announcement, so that one sees the other; it also
   * releases to arb_page_ring_count. */
  __atomic_fetch_add(&page->doorbell, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&page->doorbell_sleepers, __ATOMIC_SEQ_CST) == 0) return;
  syscall(SYS_futex, &page->doorbell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void arb_page_listen(ArbPage *page, uint32_t heard, int64_t nanoseconds) {
  if (nanoseconds <= 0) return;
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  __atomic_fetch_add(&page->doorbell_sleepers, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&page->doorbell, __ATOMIC_SEQ_CST) == heard) {
    syscall(SYS_futex, &page->doorbell, FUTEX_WAIT, heard, &limit, NULL, 0);
  }
  __atomic_fetch_sub(&page->doorbell_sleepers, 1, __ATOMIC_SEQ_CST);
}
