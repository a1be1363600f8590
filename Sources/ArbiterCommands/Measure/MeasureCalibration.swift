// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterPlatform
internal import Glibc

extension MeasureOptions {
  /// Whether a calibration is stored that these measurements give.
  var keepsCalibration: Bool { includes(.bandwidth) && !isReadOnly && !isQuick && !forgets }

  /// Finds out before a long measurement whether calibrations can be stored at all.
  ///
  /// - Throws: ``Failure`` where what is stored already is not in order.
  func checkCalibrationFile() throws(Failure) {
    guard keepsCalibration, let file = try? CalibrationFile.ofUser() else { return }
    _ = try file.read()
  }

  /// Works out the calibration and stores it, unless the user or too short a run forbid it.
  ///
  /// - Returns: Why it could not be stored; nil where it was, or was not to be.
  func calibrate(_ findings: inout MeasureFindings, isWhole: Bool) -> Failure? {
    guard includes(.bandwidth), !isReadOnly, isWhole else { return nil }
    findings.calibrations = findings.calibrate(
      date: UniversalTime(secondsSinceEpoch: Int64(time(nil))), on: MachineIdentity.read())
    guard !findings.calibrations.isEmpty else {
      findings.remarks.append(
        "No calibration: it takes bandwidths at two numbers of threads or more.")
      return nil
    }
    guard keepsCalibration else {
      findings.remarks.append(
        "The calibration was not stored (\(isQuick ? "--quick" : "--forget")).")
      return nil
    }
    let file: CalibrationFile
    do throws(Failure) {
      file = try CalibrationFile.ofUser()
    } catch {
      findings.remarks.append("The calibration was not stored: \(error.message).")
      return nil
    }
    do throws(Failure) {
      try file.add(findings.calibrations)
      findings.storedIn = file.path
      findings.remarks.append(
        "Calibration: the fewest threads within 5 % of the best; lock and delegation of arbiter "
          + "run and bench admit that many to this memory. Stored in \(file.path).")
      return nil
    } catch {
      findings.warnings.append("The calibration was not stored: \(error.message).")
      return error
    }
  }
}
