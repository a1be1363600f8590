# shellcheck shell=bash
# Part of Arbiter. See LICENSE.
# SPDX-License-Identifier: Apache-2.0
#
# Makes the kernel and the initial file system, and boots the machine. Sourced by ./bench, which
# sets `here` (this folder), `root` (the repository) and `cache` (where all that is made lies).

: "${here:?}" "${root:?}" "${cache:?}"

# Says why there is no machine, and ends with the code for that.
not_here() { # reason
  printf '%s\n' "$1"
  exit 77
}

# --- Kernel and initial file system --------------------------------------------------------------

# Modules of the guest; what they need comes with them.
modules=(
  crc32c_generic crc32c-intel libcrc32c virtio_pci 9p 9pnet_virtio overlay nfit nd_pmem nd_btt
  dax_pmem device_dax ext4 xfs
)

# Prints the name of the package that has Debian's present kernel.
kernel_name() {
  apt-cache depends linux-image-amd64 2>/dev/null |
    awk '/Depends: linux-image-[0-9]/ { print $2; exit }'
}

# Finds or downloads the kernel package of that name; an empty name is none. Sets `kernel_package`.
kernel_fetch() { # name
  [[ -n $1 ]] || return
  kernel_package=$(find "$cache" -maxdepth 1 -name "$1_*.deb" | tail -n 1)
  [[ -n $kernel_package ]] && return
  (cd "$cache" && timeout 300 apt-get download -q "$1") >"$cache/download.log" 2>&1 || return
  kernel_package=$(find "$cache" -maxdepth 1 -name "$1_*.deb" | tail -n 1)
  [[ -n $kernel_package ]]
}

# Sets `kernel_package`, with new package lists if the present ones do not help, or to what an
# earlier run left where there is no network.
kernel_download() {
  kernel_fetch "$(kernel_name)" && return
  if ((EUID == 0)) && [[ ${ARBITER_INSTALL:-yes} == yes ]]; then
    timeout 300 apt-get update -q >>"$cache/download.log" 2>&1
    kernel_fetch "$(kernel_name)" && return
  fi
  kernel_package=$(find "$cache" -maxdepth 1 -name 'linux-image-*.deb' | tail -n 1)
  [[ -n $kernel_package ]] ||
    not_here "no kernel: cannot download linux-image-amd64's ($cache/download.log says why)"
}

# The little-endian 32-bit number at an offset of a file.
number_at() { # file offset
  od -A n -t u4 -j "$2" -N 4 "$1" | tr -d ' '
}

# Takes the plain kernel out of its self-extracting form: unpacking it in the guest takes 9 s.
#
# Source: Documentation/x86/boot.rst of Linux 6.1 (setup_sects, payload_offset, payload_length).
kernel_extract() { # compressed plain
  local sectors offset length
  sectors=$(od -A n -t u1 -j $((0x1f1)) -N 1 "$1" | tr -d ' ')
  offset=$(((sectors + 1) * 512 + $(number_at "$1" $((0x248)))))
  length=$(number_at "$1" $((0x24c)))
  # The size of the plain kernel follows the compressed data, as a second stream would.
  # head leaves tail with a closed pipe, which is no failure here: the last one judges.
  (
    set +o pipefail
    tail -c "+$((offset + 1))" "$1" | head -c "$length" | xz -dc --single-stream >"$2.part"
  ) || not_here 'no kernel: its compression is not the one that is known (xz)'
  [[ $(head -c 4 "$2.part") == $'\x7fELF' ]] || not_here 'no kernel: the payload is not ELF'
  mv "$2.part" "$2"
}

# Copies a module and what it needs into a tree; built-in ones are none.
module_copy() { # name from to
  local pattern line file
  pattern="/${1//[_-]/[_-]}[.]ko:"
  line=$(grep -E "$pattern" "$2/modules.dep") || return 0
  for file in ${line/:/}; do
    install -D -m 644 "$2/$file" "$3/$file"
  done
}

# Makes `kernel` and `initial` from the package and the guest's init, where they are not newer.
machine_prepare() {
  local tree version module
  kernel_download
  # Named for the package: a download keeps the date of its making, which says nothing here.
  kernel=${kernel_package%.deb}.kernel initial=${kernel_package%.deb}.initial
  [[ $initial -nt $here/guest/init && $initial -nt $here/machine.sh && -s $kernel ]] && return
  tree=$(mktemp -d "$cache/tree.XXXXXX") || exit 70
  dpkg --fsys-tarfile "$kernel_package" | tar -x -C "$tree" ./boot ./lib/modules || exit 70
  version=$(basename "$tree"/lib/modules/*)
  kernel_extract "$tree/boot/vmlinuz-$version" "$kernel"
  busybox depmod -b "$tree" "$version" || exit 70
  mkdir -p "$tree/initial/bin" "$tree/initial/lib/modules/$version"
  for module in "${modules[@]}"; do
    module_copy "$module" "$tree/lib/modules/$version" "$tree/initial/lib/modules/$version"
  done
  cp "$tree/lib/modules/$version"/modules.{order,builtin} "$tree/initial/lib/modules/$version/"
  busybox depmod -b "$tree/initial" "$version" || exit 70
  install -m 755 "$(command -v busybox)" "$tree/initial/bin/busybox"
  install -m 755 "$here/guest/init" "$tree/initial/init"
  # Not compressed: unpacking it in the guest costs more than reading it.
  (cd "$tree/initial" && find . -print0 | cpio --quiet --null -o -H newc) >"$initial.part" ||
    exit 70
  mv "$initial.part" "$initial"
  rm -rf -- "$tree"
}

# --- The machine ----------------------------------------------------------------------------------

machine_pid='' run=''

# Ends the machine that this script started, if it still runs.
machine_kill() {
  [[ -n $machine_pid ]] || return 0
  kill -KILL "$machine_pid" 2>/dev/null
  wait "$machine_pid" 2>/dev/null
  machine_pid=
}
trap 'machine_kill; rm -rf -- "$cache"/tree.*' EXIT
trap 'exit 130' INT TERM

# A folder for a run, with the job and its settings. Sets `run`.
run_make() { # name job setting...
  run=$cache/runs/$1
  rm -rf -- "$run"
  mkdir -p "$run" || exit 70
  cp "$here/guest/common.sh" "$run/common.sh"
  cp "$here/guest/jobs/$2" "$run/job"
  shift 2
  local setting
  for setting; do
    printf 'export %s=%q\n' "${setting%%=*}" "${setting#*=}"
  done >"$run/settings"
}

# A file that stands for an NVDIMM. The last 2 MiB are its labels, the rest 16 MiB units.
nvdimm_make() { # file MiB
  truncate -s $(($2 + 2))M "$1"
}

# Starts the machine of `run`, in the background. Sets `machine_pid`. The persistence is mem-ctrl
# (stores survive from the memory controller on: ADR) or cpu (from the caches on: eADR).
#
# On a busy host the kernel's trial of the timer interrupt comes too late for it, and it gives up:
# no_timer_check leaves the trial out, as the kernel itself does under KVM.
machine_start() { # persistence cpus nvdimm... [-- arguments...]
  local persistence=$1 cpus=$2 number=0
  local -a arguments=()
  shift 2
  while (($# > 0)) && [[ $1 != -- ]]; do
    arguments+=(
      -object "memory-backend-file,id=m$number,share=on,mem-path=$1,size=$(stat -c %s "$1")"
      -device "nvdimm,id=n$number,memdev=m$number,label-size=2M"
    )
    number=$((number + 1))
    shift
  done
  shift
  # Should this script be killed, the machine goes with it.
  setpriv --pdeathsig KILL -- qemu-system-x86_64 -accel tcg,thread=multi \
    -machine "q35,nvdimm=on,nvdimm-persistence=$persistence" -cpu max -smp "$cpus" \
    -m 1536M,slots=8,maxmem=16G -nodefaults -display none -no-reboot \
    -serial "file:$run/console" -kernel "$kernel" -initrd "$initial" \
    -append 'console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check quiet' \
    -fsdev "local,id=share,path=$run,security_model=none" \
    -device virtio-9p-pci,fsdev=share,mount_tag=share \
    -fsdev 'local,id=system,path=/,security_model=none,readonly=on,multidevs=remap' \
    -device virtio-9p-pci,fsdev=system,mount_tag=system \
    "${arguments[@]}" "$@" </dev/null >"$run/qemu" 2>&1 &
  machine_pid=$!
}

# Waits for the machine to end by itself; its job's code comes back, or 124 after the time limit.
machine_wait() { # seconds
  local deadline=$((SECONDS + $1))
  while kill -0 "$machine_pid" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      machine_kill
      printf 'the machine was stopped after %d s\n' "$1"
      return 124
    fi
    sleep 0.2
  done
  wait "$machine_pid"
  machine_pid=
  if [[ ! -s $run/status ]]; then
    printf 'the machine ended without a result; its last words:\n'
    tail -n 20 "$run/qemu" "$run/console"
    return 70
  fi
  return "$(<"$run/status")"
}
