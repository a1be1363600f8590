/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Calls of libpmem of which a recording must show each, in order.
 *
 *   calls FILE
 */
#include <libpmem.h>
#include <string.h>

int main(int count, char **words) {
  static char bytes[4096] = {1};
  size_t mapped;
  int is_persistent;
  if (count != 2) return 2;
  char *map = pmem_map_file(words[1], 1 << 20, PMEM_FILE_CREATE, 0600, &mapped, &is_persistent);
  if (map == NULL) return 1;
  pmem_memcpy_persist(map, bytes, 64);
  pmem_memcpy_persist(map + 64, bytes, 256);
  pmem_memcpy_nodrain(map + 4096, bytes, 4096);
  pmem_drain();
  memset(map + 8192, 1, 100);
  pmem_persist(map + 8192, 100);
  pmem_flush(map, 64);
  pmem_memset(map, 0, 64, PMEM_F_MEM_NOFLUSH);
  pmem_memset(map + 640, 0, 512, PMEM_F_MEM_TEMPORAL | PMEM_F_MEM_NODRAIN);
  pmem_msync(map, 128);
  pmem_deep_persist(map, 64);
  return pmem_unmap(map, mapped);
}
