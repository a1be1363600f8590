/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCHMARK_PLAIN_KERNELS_H
#define BENCHMARK_PLAIN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

void plain_append_log(void *memory, size_t bytes, size_t count);
void plain_fill_words(void *memory, size_t bytes, size_t count);
void plain_insert_lines(void *memory, size_t bytes, size_t count);

#endif
