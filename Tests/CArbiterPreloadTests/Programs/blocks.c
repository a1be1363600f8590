/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * blocks POOL COUNT: writes COUNT blocks of 4 KiB through libpmemblk and reads them again.
 */
#include "check.h"

#include <libpmemblk.h>

int main(int count, char **words) {
  CHECK(count == 3);
  long blocks = atol(words[2]);
  PMEMblkpool *pool = pmemblk_create(words[1], 4096, PMEMBLK_MIN_POOL * 2, 0600);
  CHECK(pool != NULL);
  char block[4096];
  for (long index = 0; index < blocks; index++) {
    memset(block, (int)index, sizeof block);
    CHECK(pmemblk_write(pool, block, index) == 0);
  }
  pmemblk_close(pool);
  pool = pmemblk_open(words[1], 4096);
  CHECK(pool != NULL);
  for (long index = 0; index < blocks; index++) {
    CHECK(pmemblk_read(pool, block, index) == 0);
    CHECK(block[0] == (char)index && block[4095] == (char)index);
  }
  pmemblk_close(pool);
  return 0;
}
