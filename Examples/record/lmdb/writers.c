/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Writes records to an LMDB database whose file is mapped writable (MDB_WRITEMAP), a hundred in a
 * transaction, and reads them all back.
 *
 *   writers FOLDER RECORDS
 */
#define _GNU_SOURCE
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAP_BYTES ((size_t)1 << 28)
#define VALUE_BYTES 200
#define BATCH 100

static void check(int status, const char *what) {
  if (status == 0) return;
  fprintf(stderr, "writers: %s: %s\n", what, mdb_strerror(status));
  exit(1);
}

static double now_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The keys in an order that visits leaves at random, each once. */
static uint64_t key_of(uint64_t number) { return number * 0x9E3779B97F4A7C15ull; }

static void fill(char *value, uint64_t key) {
  for (size_t at = 0; at < VALUE_BYTES; at++) value[at] = (char)(key >> (at % 8 * 8)) + (char)at;
}

int main(int count, char **words) {
  if (count != 3) {
    fprintf(stderr, "usage: writers FOLDER RECORDS\n");
    return 2;
  }
  uint64_t records = strtoull(words[2], NULL, 10);
  MDB_env *environment;
  MDB_dbi table;
  MDB_txn *transaction = NULL;
  char value[VALUE_BYTES];
  check(mdb_env_create(&environment), "environment");
  check(mdb_env_set_mapsize(environment, MAP_BYTES), "map size");
  check(mdb_env_open(environment, words[1], MDB_WRITEMAP | MDB_NOSYNC, 0600), words[1]);
  double began = now_seconds();
  for (uint64_t number = 0; number < records; number++) {
    if (transaction == NULL) {
      check(mdb_txn_begin(environment, NULL, 0, &transaction), "transaction");
      if (number == 0) check(mdb_dbi_open(transaction, NULL, 0, &table), "table");
    }
    uint64_t key = key_of(number);
    fill(value, key);
    MDB_val name = {sizeof key, &key}, content = {VALUE_BYTES, value};
    check(mdb_put(transaction, table, &name, &content, 0), "put");
    if (number % BATCH == BATCH - 1 || number + 1 == records) {
      check(mdb_txn_commit(transaction), "commit");
      transaction = NULL;
    }
  }
  double wrote = now_seconds();
  check(mdb_txn_begin(environment, NULL, MDB_RDONLY, &transaction), "transaction");
  for (uint64_t number = 0; number < records; number++) {
    uint64_t key = key_of(number);
    MDB_val name = {sizeof key, &key}, content;
    check(mdb_get(transaction, table, &name, &content), "get");
    fill(value, key);
    if (content.mv_size != VALUE_BYTES || memcmp(content.mv_data, value, VALUE_BYTES) != 0) {
      fprintf(stderr, "writers: record %llu differs\n", (unsigned long long)number);
      return 1;
    }
  }
  mdb_txn_abort(transaction);
  mdb_env_close(environment);
  printf("%llu records written in %.3f s and verified in %.3f s\n", (unsigned long long)records,
         wrote - began, now_seconds() - wrote);
  return 0;
}
