/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * objects POOL [COPIES TRANSACTIONS]: a pool of libpmemobj with transactions that commit and that
 * abort, opened again. Then so many copies of 4 KiB and small transactions.
 */
#include "check.h"

#include <libpmemobj.h>

struct root {
  uint64_t count;
  char text[4096];
};

static void change(PMEMobjpool *pool, struct root *root, char letter, int commits) {
  PMEMoid whole = pmemobj_root(pool, sizeof(struct root));
  TX_BEGIN(pool) {
    pmemobj_tx_add_range(whole, 0, sizeof(struct root));
    root->count++;
    memset(root->text, letter, sizeof root->text);
    if (!commits) pmemobj_tx_abort(1);
  }
  TX_END
}

static void change_little(PMEMobjpool *pool, struct root *root) {
  TX_BEGIN(pool) {
    pmemobj_tx_add_range_direct(root->text, 64);
    root->text[0]++;
  }
  TX_END
}

int main(int count, char **words) {
  CHECK(count == 2 || count == 4);
  PMEMobjpool *pool = pmemobj_create(words[1], "arbiter", PMEMOBJ_MIN_POOL * 2, 0600);
  CHECK(pool != NULL);
  struct root *root = pmemobj_direct(pmemobj_root(pool, sizeof(struct root)));
  for (int turn = 0; turn < 100; turn++) change(pool, root, 'a', 1);
  for (int turn = 0; turn < 10; turn++) change(pool, root, 'b', 0);
  CHECK(root->count == 100 && root->text[4095] == 'a');
  char *block = malloc(4096);
  memset(block, 'c', 4096);
  pmemobj_memcpy(pool, root->text, block, 4096, 0);
  pmemobj_persist(pool, root, sizeof *root);
  PMEMoid object;
  CHECK(pmemobj_zalloc(pool, &object, 1 << 20, 1) == 0);
  pmemobj_close(pool);
  pool = pmemobj_open(words[1], "arbiter");
  CHECK(pool != NULL);
  root = pmemobj_direct(pmemobj_root(pool, sizeof(struct root)));
  CHECK(root->count == 100 && root->text[0] == 'c' && root->text[4095] == 'c');
  for (int copies = count == 4 ? atoi(words[2]) : 0; copies > 0; copies--) {
    pmemobj_memcpy(pool, root->text, block, 4096, 0);
    pmemobj_persist(pool, root, 64);
  }
  for (int left = count == 4 ? atoi(words[3]) : 0; left > 0; left--) change_little(pool, root);
  pmemobj_close(pool);
  CHECK(pmemobj_check(words[1], "arbiter") == 1);
  return 0;
}
