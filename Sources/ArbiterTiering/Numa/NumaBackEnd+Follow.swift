// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension NumaBackEnd {
  /// Puts a program under management, and all that it starts.
  public mutating func follow(_ process: Int32) { manage(process: process) }
}
