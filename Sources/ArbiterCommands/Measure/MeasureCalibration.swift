// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterPlatform
internal import Glibc

extension MeasureOptions {
  /// Works out the calibration and stores it, unless the user or too short a run forbid it.
  func calibrate(_ findings: inout MeasureFindings, isWhole: Bool) throws {
    guard includes(.bandwidth), !isReadOnly else { return }
    findings.calibrations = findings.calibrate(
      date: UniversalTime(secondsSinceEpoch: Int64(time(nil))), on: MachineIdentity.read())
    guard !findings.calibrations.isEmpty else {
      findings.remarks.append(
        "No calibration: it takes bandwidths at two numbers of threads or more.")
      return
    }
  }
}
