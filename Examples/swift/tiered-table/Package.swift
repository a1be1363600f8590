// swift-tools-version: 6.3
// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
  name: "tiered-table",
  dependencies: [.package(name: "arbiter", path: "../../..")],
  targets: [
    .executableTarget(
      name: "tiered-table", dependencies: [.product(name: "Arbiter", package: "arbiter")],
      path: "Sources/TieredTable")
  ]
)
