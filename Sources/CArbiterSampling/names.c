/* Part of Arbiter. See LICENSE.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Events by name, through libpfm4, which stays loaded: it keeps tables that it cannot give back
 * while another thread may read them.
 */
#define _GNU_SOURCE
#include "CArbiterSampling.h"

#include <dlfcn.h>
#include <linux/perf_event.h>
#include <perfmon/pfmlib_perf_event.h>
#include <string.h>

int arb_event_encode(
    const char *library, const char *name, ArbSampledEvent *event, int *error) {
  *error = 0;
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return ARB_NAMES_NO_LIBRARY;
  __typeof__(pfm_initialize) *begin;
  __typeof__(pfm_get_os_event_encoding) *encode;
  /* POSIX lets a pointer to an object be one to a function, ISO C does not say so. */
  *(void **)&begin = dlsym(handle, "pfm_initialize");
  *(void **)&encode = dlsym(handle, "pfm_get_os_event_encoding");
  if (!begin || !encode) return ARB_NAMES_NO_FUNCTION;
  *error = begin();
  if (*error != PFM_SUCCESS) return ARB_NAMES_REFUSED;
  struct perf_event_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  pfm_perf_encode_arg_t request;
  memset(&request, 0, sizeof request);
  request.size = sizeof request;
  request.attr = &attributes;
  *error = encode(name, PFM_PLM3, PFM_OS_PERF_EVENT, &request);
  if (*error != PFM_SUCCESS) return ARB_NAMES_REFUSED;
  event->kind = ARB_EVENT_PRECISE;
  event->type = attributes.type;
  event->config = attributes.config;
  event->config1 = attributes.config1;
  event->config2 = attributes.config2;
  return ARB_NAMES_FOUND;
}
