// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// The constants of ``AdaptivePlacement``; none of them says how hot is hot.
public struct AdaptiveParameters: Sendable, Hashable {
  /// Nanoseconds from one step to the next, for up to ``chunksPerStep`` chunks.
  ///
  /// Short against the seconds in which a hot set moves, and for which it stays.
  public var stepNanoseconds: Int64 = 50_000_000
  /// What a step and the times of learning (short average, groups, doubt, balance, prior) are
  /// multiplied by where there are many samples, at least.
  ///
  /// 1 stands for one sample per chunk and second; with five there are as many in a fifth.
  public var paceMin = 0.2
  /// The same at most, where samples are few.
  public var paceMax = 2.0
  /// Chunks that one step may go through; with more of them steps come less often.
  ///
  /// Keeps a step's cost below 1 % of a core: it takes about half a millisecond.
  public var chunksPerStep = 4096

  /// Time constant of the short average of heat, in seconds.
  ///
  /// Long enough for a sample or two of a hot chunk at 1 kHz; shows that a hot set has moved.
  public var shortSeconds = 0.8
  /// Time constant of the long average of heat, in seconds.
  ///
  /// What chunks are ranked by; ten times the short one where samples are few, as in ARMS.
  public var longSeconds = 12.0
  /// Time constant of the counts per island, in seconds.
  ///
  /// A hot island of a scattered set has a sample in five seconds.
  public var islandSeconds = 30.0
  /// Time constant of how far heat concentrates on islands in all of memory, in seconds.
  ///
  /// So soon it is seen that a program which used its memory evenly does so no more.
  public var concentrationSeconds = 5.0
  /// Time constant of what is learned of the groups of chunks, in seconds.
  ///
  /// Short, so that a new phase of the program is believed soon.
  public var learningSeconds = 0.8
  /// The same of a group with fewer samples than ``evidence``.
  public var learningSecondsMax = 15.0
  /// Samples by which a group is known.
  ///
  /// Their heat is known to a tenth, which ``confidence`` makes less than half of it.
  public var evidence = 100.0
  /// Time constant of what puts the learned in doubt, in seconds.
  public var doubtSeconds = 0.2
  /// Time constant of the heat of slow memory that all estimates together must not exceed.
  public var balanceSeconds = 0.15
  /// Seconds of an average chunk's heat that each group is given before it has any of its own.
  ///
  /// Draws groups of few chunks to the mean: sixteen steps.
  public var priorSeconds = 0.8

  /// Standard errors by which what comes in must beat what goes out.
  ///
  /// Of some sixty groups with equal heat the hottest and the coldest differ by five or six, now
  /// and then: both are moved against each other by this much, which makes eight.
  public var confidence = 4.0
  /// Share by which what comes in must be hotter than what goes out: the hysteresis band.
  public var band = 0.25
  /// Seconds for which heat is expected to last, at least.
  ///
  /// Too long a horizon is corrected by the account of what migrations earned.
  public var horizonSeconds = 15.0
  /// The same at most; in between heat is expected to last as long again as it has lasted.
  ///
  /// In large memory the samples of a hot chunk are few, and its move takes a minute to pay.
  public var horizonSecondsMax = 60.0
  /// How often a migration must pay for itself within the horizon.
  ///
  /// Chance is excluded by ``confidence``, and the account of earnings bounds the loss.
  public var margin = 1.0
  /// Factor by which each turn back raises what a chunk's next turn must earn.
  public var turnFactor = 1.7
  /// Seconds after which one turn back is forgotten; a move within this time after its opposite
  /// is a turn.
  public var turnSeconds = 20.0

  /// Seconds for which a chunk that is new, or was brought in, is not sent away.
  ///
  /// So long it takes to learn what it is like there.
  public var graceSeconds = 2.0

  /// Concentration within a chunk from which its islands are judged one by one.
  ///
  /// 1 is even use; n equally hot islands of 64 give 64 / n. Below this, splitting a huge page
  /// costs more in translation than the room it gains.
  public var splitConcentration = 2.0
  /// Expected coincidences that a chunk's own concentration must outweigh.
  public var splitPrior = 2.0

  /// Share of its time that the mover copies, when that pays somewhat.
  ///
  /// One thread copies; what it takes of the tiers' bandwidth is as much.
  public var moverShare = 0.25
  /// The same at most, when it pays several times over: a hot set has moved, or the program has
  /// just begun.
  public var moverShareUrgent = 1.0
  /// Share of its time that the mover copies more, in that case, for each second of credit.
  ///
  /// What may be spent before anything has been earned is spent slowly, as the longer one looks the
  /// better one knows what is hot.
  public var moverShareCredit = 1.0
  /// How often a migration must pay for itself to be urgent.
  public var urgency = 2.0
  /// Bytes per second that one thread copies at most, whatever the tiers could do.
  ///
  /// A thread of an ordinary server copies 2 MiB in 0.4 ms.
  public var copyBytesPerSecond = 5e9
  /// Thread time that may be spent on migrations before any of them has earned something.
  public var stakeNanoseconds = 500e6
  /// Seconds of what migrations are seen to earn that may be spent before they have earned it.
  ///
  /// A third of the time for which heat is expected to last, at least.
  public var creditSeconds = 5.0
  /// Share of elapsed time that may always be spent: what bounds the loss where nothing pays.
  public var allowance = 0.01

  /// Seconds of the present growth for which room is kept free.
  public var reserveSeconds = 1.0
  /// Share of the fast tier that is kept free at most.
  public var reserveShare = 0.125
  /// Share of the mean heat below which a chunk may go to keep room free.
  public var reserveHeat = 0.5

  /// How much worse wear makes a store than its time.
  public var wearFactor = 1.25
  /// Factor that a store may count more than a load at most.
  public var storeFactorMax = 5.0

  /// Sampling period while placement changes, in nanoseconds of a thread's CPU time.
  public var periodNanoseconds: Int64 = 1_000_000
  /// The same while, besides, the islands of chunks are judged one by one.
  ///
  /// There are 64 times as many of them. On a virtual machine it costs threads 6 % of their time,
  /// for as long as that pays.
  public var periodNanosecondsMin: Int64 = 250_000
  /// Sampling period once placement has been stable for long.
  ///
  /// Costs a thread less than 0.1 %, and still sees within a second that a hot set has moved.
  public var periodNanosecondsMax: Int64 = 4_000_000
  /// Seconds for which the policy may be hasty: it samples most often and decides most often.
  public var hasteSeconds = 3.0
  /// Share of elapsed time for which it may be in the long run.
  public var hasteShare = 0.2
  /// Samples per chunk that must come in haste, within those seconds, for it to tell anything.
  public var hasteSamples = 4.0
  /// Seconds without news after which the period doubles.
  public var stableSeconds = 2.0
  /// Samples without news before the period doubles, per chunk or, where they differ, four islands.
  ///
  /// A program that gets little of its processors is not taken for one that has no hot data.
  public var samplesPerUnit = 4.0
  /// Change of the fast tier's share of accesses that counts as news.
  public var shareChange = 0.05
  /// Share of all heat that migrations of some seconds bring in, from which on they count as news.
  ///
  /// Below it they follow chance.
  public var gainShare = 0.05

  /// The constants as they have been tried.
  public init() {}
}
