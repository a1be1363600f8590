// swift-tools-version: 6.3
// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

/// Settings of every Swift target: the strictest the toolchain has, and no warning passes.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

/// A library target of the house; `sees` are the modules it may import, and no others.
func room(_ name: String, sees: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: sees, swiftSettings: strict)
}

/// A target in C.
func cRoom(
  _ name: String, sees: [Target.Dependency] = [], exclude: [String] = [],
  linkerSettings: [LinkerSetting] = []
) -> Target {
  .target(
    name: name, dependencies: sees, exclude: exclude,
    cSettings: [.enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error)],
    linkerSettings: linkerSettings)
}

/// The tests of one module.
func tests(of name: String, sees: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + sees, swiftSettings: strict)
}

let package = Package(
  name: "arbiter",
  products: [
    .library(name: "Arbiter", targets: ["Arbiter"]),
    .library(
      name: "ArbiterModel",
      targets: [
        "ArbiterCore", "ArbiterMetrics", "ArbiterPersistence", "ArbiterDevice", "ArbiterScheduler",
        "ArbiterWorkloads", "ArbiterSimulator", "ArbiterCalibration", "ArbiterProfiles",
      ]),
    .executable(name: "arbiter", targets: ["arbiter"]),
    // `./install` makes libarbiter.so of it, with the Swift runtime inside.
    .library(name: "arbiter-c", type: .dynamic, targets: ["ArbiterC"]),
    // For tests of programs that keep data in persistent memory.
    .library(name: "ArbiterCrashTesting", targets: ["ArbiterCrashTesting"]),
    // The mechanism alone, for the benchmarks in C.
    .library(name: "CArbiterGate", targets: ["CArbiterGate"]),
    // The mover alone, for the benchmark in C.
    .library(name: "CArbiterTier", targets: ["CArbiterTier"]),
    // Lies beside the tool, which finds it there; see decision 0008.
    .library(name: "arbiter-preload", type: .dynamic, targets: ["CArbiterPreload"]),
    .library(name: "arbiter-tier", type: .dynamic, targets: ["CArbiterTierPreload"]),
    // What programs that were compiled with the recording hooks are linked with.
    .library(name: "arbiter-hooks", type: .static, targets: ["CArbiterHooks"]),
    // The same without hooks, for the benchmark of recording.
    .library(name: "CArbiterRecord", targets: ["CArbiterRecord"]),
  ],
  targets: [
    cRoom("CArbiter"),
    cRoom("CArbiterCounters"),
    // Zydis and libdw, libpfm4 and libmicrohttpd are loaded where they are needed and not before.
    cRoom("CArbiterDecode", sees: ["CArbiterSampling"]),
    cRoom("CArbiterGate", sees: ["CArbiter"]),
    cRoom("CArbiterHTTP"),
    cRoom("CArbiterLibrary", sees: ["CArbiter", "CArbiterGate", "CArbiterPersist"]),
    cRoom("CArbiterPersist", sees: ["CArbiter"]),
    cRoom("CArbiterRecord", sees: ["CArbiter"]),
    cRoom("CArbiterSampling"),
    cRoom("CArbiterTier", sees: ["CArbiter"]),
    cRoom("CArbiterHooks", sees: ["CArbiter", "CArbiterRecord"]),
    cRoom(
      "CArbiterTrace", sees: ["CArbiterRecord"], linkerSettings: [.linkedLibrary("zstd")]),
    cRoom(
      "CArbiterPreload", sees: ["CArbiter", "CArbiterGate", "CArbiterRecord"],
      exclude: ["exports.map"],
      // No start code of Swift, no folder of the toolchain, no symbol but the interposers, and no
      // debug information, which would be most of a library that lands in every program. All
      // symbols are bound when it is loaded: at the first call it might be an allocator's, or
      // that of a thread which the C library does not know. Then nothing of it can be written.
      linkerSettings: [
        .unsafeFlags([
          "-nostartfiles", "-no-toolchain-stdlib-rpath", "-Xlinker", "--strip-debug",
          "-Xlinker", "-z", "-Xlinker", "relro", "-Xlinker", "-z", "-Xlinker", "now", "-Xlinker",
          "--version-script=\(Context.packageDirectory)/Sources/CArbiterPreload/exports.map",
        ])
      ]),
    cRoom(
      "CArbiterTierPreload", sees: ["CArbiterTier"], exclude: ["exports.map"],
      // As with the other preload library.
      linkerSettings: [
        .unsafeFlags([
          "-nostartfiles", "-no-toolchain-stdlib-rpath", "-Xlinker", "--strip-debug",
          "-Xlinker", "-z", "-Xlinker", "relro", "-Xlinker", "-z", "-Xlinker", "now", "-Xlinker",
          "--version-script=\(Context.packageDirectory)/Sources/CArbiterTierPreload/exports.map",
        ])
      ]),
    .target(
      name: "ArbiterCore", swiftSettings: strict,
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    room("ArbiterMetrics", sees: ["ArbiterCore"]),
    room("ArbiterPersistence", sees: ["ArbiterCore"]),
    room("ArbiterDevice", sees: ["ArbiterCore", "ArbiterMetrics"]),
    room("ArbiterScheduler", sees: ["ArbiterCore", "ArbiterMetrics", "ArbiterDevice"]),
    room("ArbiterWorkloads", sees: ["ArbiterCore", "ArbiterMetrics", "ArbiterDevice"]),
    room("ArbiterPlacement", sees: ["ArbiterCore"]),
    room(
      "ArbiterTrace",
      sees: [
        "CArbiterRecord", "CArbiterTrace", "ArbiterCore", "ArbiterDevice", "ArbiterWorkloads",
      ]),
    room(
      "ArbiterSimulator",
      sees: [
        "ArbiterCore", "ArbiterMetrics", "ArbiterPersistence", "ArbiterDevice",
        "ArbiterScheduler", "ArbiterWorkloads", "ArbiterPlacement",
      ]),
    room(
      "ArbiterCalibration",
      sees: [
        "ArbiterCore", "ArbiterDevice", "ArbiterScheduler", "ArbiterWorkloads", "ArbiterSimulator",
      ]),
    room(
      "ArbiterPlatform",
      sees: ["CArbiter", "CArbiterCounters", "ArbiterCore", "ArbiterMetrics", "ArbiterDevice"]),
    room(
      "ArbiterMemory",
      sees: ["CArbiter", "CArbiterPersist", "ArbiterCore", "ArbiterDevice", "ArbiterPlatform"]),
    room(
      "ArbiterCrashTesting",
      sees: [
        "CArbiter", "ArbiterCore", "ArbiterPersistence", "ArbiterPlatform", "ArbiterMemory",
      ]),
    room(
      "ArbiterRuntime",
      sees: [
        "CArbiter", "CArbiterGate", "CArbiterRecord", "ArbiterCore", "ArbiterMetrics",
        "ArbiterDevice", "ArbiterScheduler", "ArbiterWorkloads", "ArbiterPlatform",
        "ArbiterMemory",
      ]),
    room(
      "ArbiterProfiler",
      sees: [
        "CArbiterDecode", "CArbiterSampling", "ArbiterCore", "ArbiterMetrics", "ArbiterDevice",
        "ArbiterScheduler", "ArbiterPlatform", "ArbiterRuntime",
      ]),
    room(
      "ArbiterTiering",
      sees: [
        "CArbiter", "CArbiterTier", "ArbiterCore", "ArbiterMetrics", "ArbiterDevice",
        "ArbiterPlacement", "ArbiterPlatform", "ArbiterRuntime", "ArbiterProfiler",
      ]),
    .target(
      name: "ArbiterProfiles", dependencies: ["ArbiterCore", "ArbiterDevice"],
      resources: [.embedInCode("Profiles")], swiftSettings: strict),
    room("ArbiterReport", sees: ["ArbiterCore", "ArbiterMetrics", "ArbiterDevice"]),
    room(
      "Arbiter",
      sees: [
        "ArbiterCore", "ArbiterMetrics", "ArbiterPersistence", "ArbiterDevice", "ArbiterScheduler",
        "ArbiterWorkloads", "ArbiterSimulator", "ArbiterPlatform", "ArbiterMemory",
        "ArbiterRuntime", "ArbiterProfiler", "ArbiterPlacement", "ArbiterTiering",
        "ArbiterProfiles", "ArbiterReport",
      ]),
    .target(
      name: "ArbiterC",
      dependencies: [
        "CArbiter", "CArbiterGate", "CArbiterLibrary", "ArbiterCore", "ArbiterDevice",
        "ArbiterScheduler", "ArbiterPlatform", "ArbiterMemory", "ArbiterRuntime",
        "ArbiterProfiles",
      ], exclude: ["exports.map"], swiftSettings: strict,
      // Nothing but what arbiter.h declares is visible in the library.
      linkerSettings: [
        .unsafeFlags([
          "-Xlinker",
          "--version-script=\(Context.packageDirectory)/Sources/ArbiterC/exports.map",
        ])
      ]),
    room("CommandSpec"),
    room(
      "ArbiterCommands",
      sees: [
        "CArbiter", "CArbiterHTTP", "CArbiterRecord", "CommandSpec", "ArbiterCore",
        "ArbiterMetrics",
        "ArbiterDevice", "ArbiterScheduler", "ArbiterWorkloads", "ArbiterSimulator",
        "ArbiterCalibration", "ArbiterPlatform", "ArbiterMemory", "ArbiterRuntime",
        "ArbiterProfiler", "ArbiterPlacement", "ArbiterTiering", "ArbiterProfiles",
        "ArbiterReport", "ArbiterTrace",
      ]),
    // Tests.
    .target(name: "CTestSupport", dependencies: ["CArbiterGate"], path: "Tests/CTestSupport"),
    .target(
      name: "ArbiterTestSupport", dependencies: ["ArbiterCore", "ArbiterScheduler"],
      path: "Tests/ArbiterTestSupport", swiftSettings: strict),
    // Runs the built tool as the helper that reads module counters. A dependency would link the
    // tool into the tests, with the static libraries of its release form; building the tests
    // builds it anyway.
    tests(
      of: "ArbiterPlatform",
      sees: [
        "ArbiterTestSupport", "ArbiterCore", "ArbiterDevice", "ArbiterMetrics", "CArbiter",
        "CArbiterCounters",
      ]),
    tests(
      of: "ArbiterMemory",
      sees: ["ArbiterTestSupport", "CTestSupport", "ArbiterCore", "ArbiterPlatform", "CArbiter"]),
    tests(
      of: "ArbiterRuntime",
      sees: [
        "ArbiterTestSupport", "CTestSupport", "ArbiterCore", "ArbiterDevice", "ArbiterMemory",
        "ArbiterMetrics", "ArbiterPlatform", "ArbiterScheduler", "CArbiter", "CArbiterGate",
      ]),
    // Compiles C programs against the built library.
    .testTarget(
      name: "ArbiterCTests", dependencies: ["ArbiterC", "ArbiterTestSupport"],
      exclude: ["Programs"], swiftSettings: strict),
    // Runs programs under the built preload library; its C programs are compiled by the tests.
    .testTarget(
      name: "CArbiterPreloadTests",
      dependencies: ["ArbiterTestSupport", "CArbiter", "CArbiterGate"],
      exclude: ["Programs"], swiftSettings: strict),
    .executableTarget(
      name: "arbiter", dependencies: ["ArbiterCommands"], swiftSettings: strict,
      // Loading the Swift libraries would be a third of the tool's start.
      linkerSettings: [.unsafeFlags(["-static-stdlib"], .when(configuration: .release))]),

    // The example, as a part of this package, so that a test can run it.
    .executableTarget(
      name: "tiered-table", dependencies: ["Arbiter"],
      path: "Examples/swift/tiered-table/Sources/TieredTable", swiftSettings: strict),

    // What ./test --vm runs inside a virtual machine.
    .target(
      name: "CAppendLog", path: "Tests/VirtualMachine/Programs/CAppendLog",
      cSettings: [
        .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
      ]),
    .executableTarget(
      name: "append-log",
      dependencies: ["CAppendLog", "ArbiterCore", "ArbiterMemory", "ArbiterPlatform"],
      path: "Tests/VirtualMachine/Programs/append-log", swiftSettings: strict),

    tests(of: "ArbiterCore"),
    .testTarget(name: "RepositoryTests", swiftSettings: strict),
    .testTarget(
      name: "ControllerTests",
      dependencies: [
        "ArbiterCore", "ArbiterMetrics", "ArbiterDevice", "ArbiterScheduler", "ArbiterWorkloads",
        "ArbiterSimulator", "ArbiterProfiles",
      ], swiftSettings: strict),
    // The one place where the model and the machine's side meet: the model plays the machine.
    .testTarget(
      name: "ClosedLoopTests",
      dependencies: [
        "ArbiterTestSupport", "ArbiterCore", "ArbiterMetrics", "ArbiterDevice", "ArbiterScheduler",
        "ArbiterWorkloads", "ArbiterSimulator", "ArbiterPlatform", "ArbiterMemory",
        "ArbiterRuntime", "ArbiterProfiles",
      ], swiftSettings: strict),
    // Runs the built tool as a child process.
    .testTarget(
      name: "CommandLineTests",
      dependencies: [
        "ArbiterCommands", "ArbiterCore", "ArbiterDevice", "ArbiterMetrics", "ArbiterPlacement",
        "ArbiterPlatform", "ArbiterProfiler", "ArbiterReport", "ArbiterTestSupport",
        "ArbiterTiering", "ArbiterTrace", "ArbiterWorkloads", "CommandSpec",
      ],
      exclude: ["bad-input.txt", "Programs"], swiftSettings: strict),
    tests(of: "CommandSpec", sees: ["ArbiterTestSupport"]),
    // Decodes C programs that the tests compile.
    .testTarget(
      name: "ArbiterProfilerTests",
      dependencies: [
        "ArbiterProfiler", "ArbiterTestSupport", "ArbiterCore", "ArbiterDevice", "ArbiterMetrics",
        "ArbiterPlatform", "ArbiterRuntime", "ArbiterScheduler", "CArbiterDecode",
        "CArbiterSampling", "CTestSupport",
      ],
      exclude: ["Programs"], swiftSettings: strict),
    tests(of: "ArbiterProfiles", sees: ["ArbiterCore", "ArbiterDevice", "ArbiterReport"]),
    tests(of: "ArbiterReport", sees: ["ArbiterCore", "ArbiterMetrics", "ArbiterDevice"]),
    tests(of: "ArbiterPlacement", sees: ["ArbiterCore", "ArbiterTestSupport"]),
    tests(
      of: "ArbiterTiering",
      sees: [
        "ArbiterTestSupport", "ArbiterCore", "ArbiterMetrics", "ArbiterPlacement",
        "ArbiterPlatform", "ArbiterProfiler", "ArbiterRuntime", "CArbiterTier",
      ]),
    // Runs C programs, which the tests compile: with the mover inside, and under the library.
    .testTarget(
      name: "CArbiterTierTests", dependencies: ["CArbiterTier", "ArbiterTestSupport"],
      exclude: ["Programs"], swiftSettings: strict),
    .testTarget(
      name: "CArbiterTierPreloadTests", dependencies: ["ArbiterTestSupport"],
      exclude: ["Programs"], swiftSettings: strict),
    tests(of: "ArbiterMetrics", sees: ["ArbiterCore"]),
    tests(of: "ArbiterPersistence", sees: ["ArbiterCore", "ArbiterTestSupport"]),
    tests(
      of: "ArbiterCrashTesting",
      sees: [
        "ArbiterTestSupport", "CAppendLog", "ArbiterCore", "ArbiterMemory", "ArbiterPersistence",
        "ArbiterPlatform",
      ]),
    tests(of: "ArbiterDevice", sees: ["ArbiterCore"]),
    tests(of: "ArbiterScheduler", sees: ["ArbiterCore"]),
    tests(
      of: "ArbiterTrace",
      sees: [
        "ArbiterCore", "ArbiterTestSupport", "ArbiterWorkloads", "CArbiterRecord", "CArbiterTrace",
      ]),
    tests(of: "ArbiterWorkloads", sees: ["ArbiterCore", "ArbiterDevice", "ArbiterMetrics"]),
    .testTarget(
      name: "CalibrationTests",
      dependencies: [
        "ArbiterCore", "ArbiterDevice", "ArbiterProfiles", "ArbiterScheduler", "ArbiterWorkloads",
        "ArbiterSimulator", "ArbiterCalibration",
      ], swiftSettings: strict),
    tests(
      of: "ArbiterSimulator",
      sees: [
        "ArbiterCore", "ArbiterMetrics", "ArbiterDevice", "ArbiterProfiles", "ArbiterScheduler",
        "ArbiterPersistence", "ArbiterPlacement", "ArbiterTestSupport", "ArbiterWorkloads",
      ]),
  ]
)

// The compiler's thread sanitizer cannot build every target (Tests/Scripts/sanitizers says more):
// this leaves what real threads on real memory need, and their tests.
if Context.environment["ARBITER_SANITIZE"] != nil {
  let kept: Set = [
    "CArbiter", "CArbiterCounters", "CArbiterGate", "CArbiterPersist", "CArbiterRecord",
    "ArbiterCore",
    "ArbiterMetrics", "ArbiterDevice", "ArbiterScheduler", "ArbiterWorkloads",
    "ArbiterPlatform", "ArbiterMemory", "ArbiterRuntime", "CTestSupport", "ArbiterTestSupport",
    "ArbiterPlatformTests", "ArbiterMemoryTests", "ArbiterRuntimeTests",
  ]
  package.targets.removeAll { !kept.contains($0.name) }
  package.products.removeAll()
}
