# shellcheck shell=bash
# Part of Arbiter. See LICENSE.
# SPDX-License-Identifier: Apache-2.0
#
# Installs what packages.debian lists. Sourced by ./arbiter, ./install and ./test, which set
# `root` (the repository) first. Writes to stderr only.

: "${root:?is set by the script that sources this file}"

# Prints the packages that are missing for any of the given uses; `need` narrows to one need.
missing_packages() { # need|any use...
  local need_wanted=$1 package probe use need wanted
  shift
  while read -r package probe use need _; do
    [[ -z $package || $package == \#* ]] && continue
    [[ $need_wanted == any || $need == "$need_wanted" ]] || continue
    for wanted in "$@"; do
      [[ $use == "$wanted" ]] || continue
      if [[ $probe == /* ]]; then
        [[ -e $probe ]] || printf '%s ' "$package"
      else
        command -v -- "$probe" >/dev/null || printf '%s ' "$package"
      fi
    done
  done <"$root/packages.debian"
}

# Installs the given packages as root, updating the package lists only when that is needed.
apt_install() { # package...
  local log
  log=$(mktemp) || return 1
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get install -y -q --no-install-recommends "$@" ||
      { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }
  } </dev/null >"$log" 2>&1
  local code=$?
  ((code == 0)) || tail -n 3 "$log" >&2
  rm -f "$log"
  return "$code"
}

# Makes the packages for the given uses available, or says in one line what to run.
#
# Fails only if a required one is still missing. Optional ones are tried once and then only after
# packages.debian has changed, so that a machine without a network does not wait at every start.
ensure_packages() { # program use...
  local program=$1 asked=$root/.build/packages.asked missing required
  shift
  missing=$(missing_packages any "$@")
  [[ -z $missing ]] && return 0
  required=$(missing_packages required "$@")
  [[ -z $required && $asked -nt $root/packages.debian ]] && return 0
  local -a names
  read -ra names <<<"$missing"
  if ((EUID == 0)) && [[ ${ARBITER_INSTALL:-yes} == yes ]] && command -v apt-get >/dev/null; then
    printf '%s: installing %s\n' "$program" "${names[*]}" >&2
    apt_install "${names[@]}" && return 0
  fi
  [[ -w $root/.build ]] && : >"$asked"
  printf '%s: missing packages; to install them: sudo apt-get install -y %s\n' \
    "$program" "${names[*]}" >&2
  required=$(missing_packages required "$@")
  [[ -z $required ]]
}
