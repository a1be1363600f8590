# shellcheck shell=dash
# Part of Arbiter. See LICENSE.
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the jobs.

variables='' # NAME=value words for the environment of `system`

# Runs a command of the host's in its own root.
system() { # command...
  # shellcheck disable=SC2086
  chroot /system /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    TMPDIR=/tmp LANG=C.UTF-8 $variables "$@"
}

# The kernel's number of the region of so many MiB. Regions are not numbered in the order in which
# the bench names the NVDIMMs, so that a job knows them by their sizes.
region_of() { # MiB
  local folder
  for folder in /sys/bus/nd/devices/region*; do
    [ "$(cat "$folder/size")" = $(($1 << 20)) ] && echo "${folder##*/region}" && return
  done
  echo "no region of $1 MiB" >&2
  return 1
}

# Makes an NVDIMM a device of directly mapped memory: /dev/daxREGION.0.
make_device_dax() { # region
  system ndctl create-namespace -f -e "namespace$1.0" -m devdax --map=mem --align=2M >/dev/null
}

# Makes an NVDIMM a file system mounted with DAX at /mnt/NAME.
make_file_system() { # region name
  system ndctl create-namespace -f -e "namespace$1.0" -m fsdax >/dev/null || return
  case $2 in
    ext4) system mkfs.ext4 -q -F -b 4096 "/dev/pmem$1" ;;
    xfs) system mkfs.xfs -q -f -m reflink=0 "/dev/pmem$1" ;;
  esac || return
  mount_file_system "$1" "$2"
}

# Mounts what an earlier machine made.
mount_file_system() { # region name
  mount -t "$2" -o dax=always "/dev/pmem$1" "/system/mnt/$2"
}
