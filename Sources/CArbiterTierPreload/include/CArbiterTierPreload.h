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
 */
#ifndef CARBITERTIERPRELOAD_H
#define CARBITERTIERPRELOAD_H

#define ARB_ENVIRONMENT_TIER "ARBITER_TIER"

#endif
