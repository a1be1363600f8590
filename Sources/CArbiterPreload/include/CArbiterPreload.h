/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * libarbiter-preload.so: gates the stores that a program makes through libpmem and libpmem2, and
 * through the libraries built on them, without the program knowing. It is C alone, and its only
 * symbols are those of the two libraries that it stands in front of.
 *
 * What the program's environment says
 *
 *   LD_PRELOAD        this library
 *   ARBITER_CONTROL   the control page, as /proc/PID/fd/N of whoever holds its memfd
 *   ARBITER_SESSION   the session (control_page.h) that the program's gates belong to; absent: 0
 *   ARBITER_PRELOAD   "off": do nothing
 *
 * Without ARBITER_CONTROL the library does nothing and says nothing. With a page that cannot be
 * used it says so in one line on stderr, and the program runs as without it.
 *
 * What it promises the program: no signal handler, no thread and no memory from malloc of its own
 * at load, no descriptor kept, errno as the libraries left it, and nothing on stdout. (Under the
 * delegation scheme the first store starts the workers.)
 *
 * What it reaches: calls of the functions below, wherever they come from, apart from programs that
 * are linked statically, that look the functions up in a library of their own choice (dlsym on a
 * handle, RTLD_DEEPBIND) or that run with more rights than their user (setuid). A program's own
 * stores are seen when they are flushed. Copies with *_F_MEM_NOFLUSH stay in the cache and pass
 * ungated; they are counted as calls, and as stores when they are flushed.
 */
#ifndef CARBITERPRELOAD_H
#define CARBITERPRELOAD_H

#define ARB_ENVIRONMENT_CONTROL "ARBITER_CONTROL"
#define ARB_ENVIRONMENT_SESSION "ARBITER_SESSION"
#define ARB_ENVIRONMENT_SWITCH "ARBITER_PRELOAD"

#endif
