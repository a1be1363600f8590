/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libarbiter-tier.so: puts the large memory of a program under the management of `arbiter tier`,
 * without the program knowing. It is C alone. It stands in front of the functions that map, unmap
 * and change mappings, that fork, and that open what writes past page tables.
 *
 * What the program's environment says
 *
 *   LD_PRELOAD     this library, and jemalloc where heaps are managed: jemalloc's own mappings come
 *                  by the same functions, those of glibc's malloc do not
 *   ARBITER_TIER   the tier page and the slow file, as /proc/PID/fd/N:/proc/PID/fd/M
 *
 * Without ARBITER_TIER the library does nothing and says nothing. With a page that cannot be used
 * it says so in one line on stderr, and the program runs as without it.
 *
 * What it promises the program: the same answers as the kernel's, no signal handler, and no
 * descriptor in the program's table. Two threads of its own, which take no signals.
 *
 * What it reaches: anonymous memory that is mapped by name, or through syscall(), in mappings of
 * 64 KiB and more of which whole chunks can be made. Not: what may be executed, stacks, huge pages
 * that were asked for by MAP_HUGETLB, locked memory, and programs that are linked statically or
 * run with more rights than their user.
 *
 * What it cannot see: calls by instruction. Memory that is unmapped so is noticed before it is
 * moved where the kernel tells what is mapped (Linux 6.11). An io_uring that is made so, as by
 * liburing, and a descriptor with O_DIRECT that comes from elsewhere, are found by the manager a
 * moment later.
 */
#ifndef CARBITERTIERPRELOAD_H
#define CARBITERTIERPRELOAD_H

#define ARB_ENVIRONMENT_TIER "ARBITER_TIER"

#endif
