/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCHMARK_HOOKED_KERNELS_H
#define BENCHMARK_HOOKED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

void hooked_append_log(void *memory, size_t bytes, size_t count);
void hooked_fill_words(void *memory, size_t bytes, size_t count);
void hooked_insert_lines(void *memory, size_t bytes, size_t count);

#endif
