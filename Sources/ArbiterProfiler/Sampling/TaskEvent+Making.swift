// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

package import ArbiterPlatform

extension TaskEvent {
  /// Makes an event of a source that is no ring.
  package init(_ change: Change, process: Int32, thread: Int32, timeNanoseconds: Int64) {
    self.timeNanoseconds = timeNanoseconds
    self.process = process
    self.thread = thread
    self.change = change
  }
}

extension TaskEvent.Mapping {
  /// Makes a mapping as a line of the memory map has it.
  package init(_ mapping: ProcessMapping, isExecutable: Bool) {
    self.init(
      addresses: mapping.addresses, fileOffset: mapping.fileOffset,
      deviceMajor: mapping.deviceMajor, deviceMinor: mapping.deviceMinor, inode: mapping.inode,
      isWritable: mapping.isWritable, isExecutable: isExecutable, isShared: mapping.isShared,
      name: mapping.name)
  }
}
