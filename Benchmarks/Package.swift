// swift-tools-version: 6.3
// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Settings of every target: as strict as those of the package under test.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "arbiter-benchmarks",
  dependencies: [.package(name: "arbiter", path: "..")],
  targets: [
    .executableTarget(
      name: "simulator-speed",
      dependencies: [.product(name: "ArbiterModel", package: "arbiter")],
      swiftSettings: strict)
  ]
)
