/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Gives up root's rights with threads in it that it did not start: all of them must be without
 * them soon. A forked child that maps large memory has threads that the C library does not know. */
#define _GNU_SOURCE
#include <dirent.h>
#include <grp.h>
#include <sys/wait.h>

#include "memory.h"

#define NOBODY 65534

/* What the kernel tells of a thread's user, group and groups. */
static void read_rights(const char *thread, char *rights, size_t room) {
  char path[512], text[4096];
  snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  size_t used = 0;
  rights[0] = 0;
  while (fgets(text, sizeof text, file) != NULL)
    if (strncmp(text, "Uid:", 4) == 0 || strncmp(text, "Gid:", 4) == 0 ||
        strncmp(text, "Groups:", 7) == 0)
      used += (size_t)snprintf(rights + used, room - used, "%s", text);
  fclose(file);
}

/* Threads, and how many of them have other rights than the first. */
static int count_threads(int *others) {
  char number[32], first[1024], rights[1024];
  snprintf(number, sizeof number, "%d", getpid());
  read_rights(number, first, sizeof first);
  CHECK(strstr(first, "\t65534") != NULL);
  DIR *folder = opendir("/proc/self/task");
  CHECK(folder != NULL);
  int count = 0;
  *others = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    read_rights(entry->d_name, rights, sizeof rights);
    count++;
    *others += strcmp(first, rights) != 0;
  }
  closedir(folder);
  return count;
}

static void give_up_rights(void) {
  Block block = make(MIB(8), MAP_PRIVATE);
  fill(block, draw());
  gid_t groups[] = {NOBODY, NOBODY - 1};
  CHECK(setgroups(2, groups) == 0);
  CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
  int others = 1, count = 0;
  for (int turn = 0; turn < 100 && others != 0; turn++) {
    usleep(50000);
    count = count_threads(&others);
  }
  CHECK(others == 0);
  /* Mover and watcher. */
  if (getenv("ARBITER_TIER") != NULL) CHECK(count == 3);
  /* And they still do what they are for. */
  for (int turn = 0; turn < 5; turn++) pause_briefly();
  note(block);
}

int main(int count, char **words) {
  if (count != 2) return 64;
  seed(strtoull(words[1], NULL, 10));
  Block before = make(MIB(8), MAP_PRIVATE);
  fill(before, draw());
  pid_t child = fork();
  if (child == 0) {
    give_up_rights();
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  note(before);
  give_up_rights();
  printf("%016lx\n", checksum);
  return 0;
}
