// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterPlatform
internal import CommandSpec

/// Options of the helper that reads the counters of modules.
///
/// The verb is for Arbiter itself: it starts itself with it, because the library that knows the
/// counters may hang, crash or print. It has no man page and no completion.
struct ReadModuleCountersOptions: Equatable {
  var every = TimeSpan.seconds(1)
  var readings: Int?
  var library = ModuleCounterHelper.libraryName
  var parent: Int?

  static let command: Command<ReadModuleCountersOptions> = Command(
    name: HelperProgram.verb,
    abstract: "Print the modules' counters, one line per module and reading.",
    initial: ReadModuleCountersOptions(),
    groups: [
      OptionGroup(
        "Reading",
        [
          .init("every", \.every, help: "Time between two readings; at least 1s."),
          .init("readings", \.readings, help: "Readings to make; without end by default."),
          .init("library", \.library, help: "The library's name or path."),
          .init("parent", \.parent, help: "The process whose end ends this one."),
        ])
    ],
    validate: { (options: ReadModuleCountersOptions) throws(UsageError) in
      guard options.every.nanoseconds >= Double(ModuleCounterHelper.periodNanosecondsMin) else {
        throw UsageError(
          "--every is \(options.every), less than 1s",
          hint: "each reading costs the firmware of every module a command")
      }
    },
    run: { invocation in
      let options = invocation.options
      let isDone = try ModuleCounterHelper.run(
        library: options.library, periodNanoseconds: Int64(options.every.nanoseconds),
        parent: options.parent.flatMap { Int32(exactly: $0) },
        readingCountMax: options.readings.flatMap { UInt64(exactly: $0) })
      return isDone ? ExitCode.done : ExitCode.unavailable
    })
}
