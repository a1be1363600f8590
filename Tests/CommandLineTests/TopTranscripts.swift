// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What the screen of the fixture looks like.
enum TopTranscripts {
  static let wide = """
    arbiter top  mica  14:05:59  every 1s
    4 CPUs  busy 25.0%  steal 0.0%  CPU seconds per GiB 0.25

    DEVICE  iMC-W iMC-R MED-W MED-R   WA   RA  EQ-W s/GiB  DELAY SOURCE
    region0 1.07G 1.07G 4.29G 2.15G    4    2 5.01G  0.50  740ns module
    region1 1.07G 1.07G     -     -    -    -     -  0.50      - memory-controller

        PID COMMAND WRITE/s  SHARE WRITTEN SOURCE  DELAY    CPU MAPPED
       4711 writer     300M  60.0%    300M gates   10.0%  15.0%  1.07G
       4712 writer     200M  40.0%    200M gates   10.0%  30.0%  2.15G
       4713 reader        -      -       - -           -  45.0%  3.22G









    MED-W, MED-R, WA, RA of region1: memory controllers do not see the medium.
    DELAY of region1: no run gates it.
    WRITE/s of 4713: only stores under arbiter run are counted.
    q quit  h help  space pause  + - interval  e every process  wtcdmpn sort
    """

  static let narrow = """
    arbiter top  mica  14:05:59  every 1s
    busy 25.0%  steal 0.0%  CPU s/GiB 0.25
    DEVICE  iMC-W MED-W   WA s/GiB  DELAY
    region0 1.07G 4.29G    4  0.50  740ns
    region1 1.07G     -    -  0.50      -
        PID COMMAND WRITE/s  SHARE    CPU
       4711 writer     300M  60.0%  15.0%
       4712 writer     200M  40.0%  30.0%
       4713 reader        -      -  45.0%
    q quit  h help  space pause
    """

  static let first = """
    arbiter top  mica  14:05:59  every 1s
    4 CPUs  busy -  steal -  CPU seconds per GiB -

    DEVICE  iMC-W iMC-R MED-W MED-R   WA   RA  EQ-W s/GiB  DELAY SOURCE
    region0     -     -     -     -    -    -     -     -  740ns module
    region1     -     -     -     -    -    -     -     -      - memory-controller

        PID COMMAND WRITE/s  SHARE WRITTEN SOURCE  DELAY    CPU MAPPED
       4711 writer        -      -       0 gates       -      -  1.07G
       4712 writer        -      -       0 gates       -      -  2.15G
       4713 reader        -      -       - -           -      -  3.22G








    CPU, CPU seconds per GiB, region0 and 3 more: measuring: rates need two
    readings.
    DELAY of region1: no run gates it.
    WRITE/s of 4713: only stores under arbiter run are counted.
    q quit  h help  space pause  + - interval  e every process  wtcdmpn sort
    """

  static let bare = """
    arbiter top  mica  14:05:59  every 1s
    4 CPUs  busy 25.0%  steal 0.0%  CPU seconds per GiB -
    DEVICE
    (none: no slow memory, no gated run)
        PID COMMAND WRITE/s  SHARE WRITTEN SOURCE  DELAY    CPU
    (no program is seen to use slow memory)
    Look anyway: --every-process (key e) shows all, -p PID samples
    one; 'arbiter account -p PID' tells what it stores where,
    'arbiter measure PATH' what memory can do.

    CPU seconds per GiB: no device is known whose bytes could be
    counted.
    This machine shows no slow memory.
    q quit  h help  space pause  + - interval  e every process
    """

  static let help = """
    Keys
    q       quit; so does Ctrl-C
    h ?     this help
    space   pause and go on
    + -     longer, shorter interval
    r       reverse the order
    e       show every process, or only those that use slow memory
    arrows  scroll tasks; also Page Up, Page Down, Home, End
    w       sort by what they store in a second
    t       sort by what they have stored
    c       sort by CPU time
    d       sort by the time that gates make them wait
    m       sort by the slow memory that they map
    p       sort by process number
    n       sort by name

    iMC: what the processor's memory controller moved. MED: what the medium moved.
    EQ-W: media writes + media reads / 3. WA, RA: media bytes / iMC bytes. s/GiB:
    CPU seconds of all processors per GiB moved.
    Bytes per second; k, M, G are powers of 1000. DELAY and CPU of tasks: 100% is
    one thread.
    Under arbiter tier: FAST and SLOW are bytes that lie there, HITS the share of
    accesses of the last seconds that met FAST, UP and DOWN bytes moved so far.
    - is unavailable, never 0; the remarks say why.





    any key leaves the help  q quit
    """

  static let shortHelp = """
    Keys
    q quit, h help, space pause, + -
    interval, arrows scroll, e every
    process, w by written/s, t by written, c
    by CPU, d by delay, m by mapped, p by
    PID, n by name, r reverse



    any key leaves the help  q quit
    """
}
