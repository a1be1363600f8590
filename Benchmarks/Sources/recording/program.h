/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RECORDING_PROGRAM_H
#define RECORDING_PROGRAM_H

/* CPU seconds of one run of fio that stores `total` bytes in blocks of `size` with its libpmem
 * engine, from its start to its end; below 0 where it failed. Where it is not recorded it runs
 * without the preload library too. */
double fio_seconds(const char *size, const char *total, int is_recorded);

#endif
