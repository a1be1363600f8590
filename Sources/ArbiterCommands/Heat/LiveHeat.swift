// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterPlatform
internal import ArbiterProfiler

/// The heat map of a program that runs.
final class LiveHeat {
  init(_ options: HeatOptions, place: HeatPlace) throws {}
  func run() throws -> Int32 { 0 }
}
