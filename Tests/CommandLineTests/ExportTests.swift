// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import ArbiterReport
import ArbiterTestSupport
import Testing

/// Scripts that serve metrics, on whatever port is free, and ask for them without any client.
private struct ExportPlace: ~Copyable {
  let folder = TemporaryFolder()

  /// Runs a script in a folder of its own, in which no run meets another.
  ///
  /// `serve ADDRESS` starts the tool and sets `server` and `port`; `get HOST PATH [HEADER]` asks.
  func script(_ text: String) throws -> Outcome {
    try shell(
      """
      export ARBITER_RUNTIME_DIR=$PWD/meet
      serve() { # address
        rm -f url remarks # an earlier server's
        "$arbiter" export --listen="$1:0" --interval=20ms >url 2>remarks & server=$!
        for turn in {1..200}; do [[ -s url ]] && break; sleep 0.05; done
        port=$(sed -E 's,.*:([0-9]+)/metrics$,\\1,' url)
      }
      get() { # host path header
        exec {socket}<>"/dev/tcp/$1/$port" || return
        printf 'GET %s HTTP/1.0\\r\\n%s\\r\\n' "$2" "${3:+$3$'\\r\\n'}" >&$socket
        timeout 10 cat <&$socket
        exec {socket}>&-
      }
      body() { sed '1,/^\\r$/d'; }
      count() { get "$1" /metrics | sed -n 's/^arbiter_readings_total //p'; }
      \(text)
      """, in: folder.path)
  }

  func text(_ name: String) throws -> String { try Shell.text(of: "\(folder.path)/\(name)") }
}

@Suite("Export: over HTTP", .serialized)
struct ExportServerTests {
  static let hasSix = works("[[ -n $(cat /proc/net/if_inet6 2>/dev/null) ]]")
  private static let openMetrics = "Accept: application/openmetrics-text;version=1.0.0"

  @Test(arguments: ["127.0.0.1", "::1"])
  func `the last reading is served in the form that is asked for`(host: String) throws {
    guard host == "127.0.0.1" || Self.hasSix else { return }
    let place = ExportPlace()
    let address = host == "::1" ? "[::1]" : host
    let run = try place.script(
      """
      serve '\(address)'
      get \(host) /metrics >plain; get \(host) /metrics '\(Self.openMetrics)' >open
      get \(host) / >home; get \(host) /other >other
      body <plain >plain.body; body <open >open.body
      kill -TERM $server; wait $server; echo $?; cat url remarks
      """)
    #expect(run.output.hasPrefix("0\nhttp://\(address):"), "\(run.error)")
    #expect(run.output.hasSuffix("/metrics\n"))
    let plain = try MetricsText(place.text("plain.body"), .text)
    let open = try MetricsText(place.text("open.body"), .openMetrics)
    #expect(try place.text("plain").contains("\r\nContent-Type: text/plain; version=0.0.4;"))
    #expect(
      try place.text("open").contains(
        "\r\nContent-Type: application/openmetrics-text; version=1.0.0;"))
    for text in [plain, open] {
      #expect((text.value("arbiter_readings_total") ?? 0) >= 1)
      let age = try #require(text.value("arbiter_reading_age_seconds"))
      #expect(age >= 0 && age < 30)
    }
    #expect(try place.text("home").hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try place.text("other").hasPrefix("HTTP/1.1 404 Not Found\r\n"))
  }

  @Test func `only GET and HEAD are answered`() throws {
    let place = ExportPlace()
    let run = try place.script(
      """
      serve 127.0.0.1
      ask() {
        exec {socket}<>"/dev/tcp/127.0.0.1/$port"
        printf "$1" >&$socket; timeout 10 cat <&$socket
      }
      ask 'HEAD /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >head
      ask 'POST /metrics HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 3\\r\\n\\r\\nabc' >post
      ask 'DELETE / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >delete
      ask 'nonsense\\r\\n\\r\\n' >nonsense
      kill -INT $server; wait $server; echo $?
      """)
    #expect(run.output == "130\n", "\(run.error)")
    let head = try place.text("head")
    #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n") && head.hasSuffix("\r\n\r\n"))
    for name in ["post", "delete"] {
      let answer = try place.text(name)
      #expect(answer.hasPrefix("HTTP/1.1 405 ") && answer.contains("\r\nAllow: GET, HEAD\r\n"))
    }
    #expect(!(try place.text("nonsense").contains(" 200 ")))
  }

  /// Connections that send a byte now and then would hold every place that there is, for longer
  /// than the test; others send garbage, endless heads and bodies, or read nothing.
  @Test func `clients that are slow, broken or hostile disturb neither readings nor others`()
    throws
  {
    let place = ExportPlace()
    let run = try place.script(
      """
      serve 127.0.0.1
      before=$(ls /proc/$server/fd | wc -l)
      # What is written to a connection that the server has closed is lost, and no reason to end.
      trap '' PIPE
      slow=()
      for turn in {1..150}; do
        exec {socket}<>"/dev/tcp/127.0.0.1/$port" && slow+=("$socket")
        printf 'GET /metr' >&"$socket"
      done
      for turn in {1..30}; do
        exec {socket}<>"/dev/tcp/127.0.0.1/$port"
        head -c 3000 /dev/urandom >&$socket
        ((turn % 2)) && exec {socket}>&-
      done
      exec {socket}<>"/dev/tcp/127.0.0.1/$port"
      { printf 'GET / HTTP/1.1\\r\\nX: '; head -c 1000000 /dev/zero | tr '\\0' a; } >&$socket
      exec {socket}<>"/dev/tcp/127.0.0.1/$port"
      { printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99999999\\r\\n\\r\\n'
        head -c 1000000 /dev/zero; } >&$socket
      for turn in {1..10}; do
        for socket in "${slow[@]}"; do printf i >&"$socket"; done
        count 127.0.0.1
        sleep 0.1
      done 2>/dev/null
      open=$(ls /proc/$server/fd | wc -l)
      echo "$((open - before < 50)) $(ls /proc/$server/task | wc -l)" >bounds
      kill -TERM $server; wait $server; echo "code $?" >ending
      """)
    let counts = run.output.split(separator: "\n").compactMap { Int($0) }
    // Every good client among them was answered, each time with a later reading.
    try #require(counts.count == 10, "\(run.output)\(run.error)")
    #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 < $1 }, "\(counts)")
    #expect(try place.text("bounds") == "1 2\n")
    #expect(try place.text("ending") == "code 0\n")
  }

  @Test func `a port in use is said, and another server's port stays its own`() throws {
    let place = ExportPlace()
    let run = try place.script(
      """
      serve 127.0.0.1
      "$arbiter" export --listen=127.0.0.1:$port >second 2>said; echo $?
      [[ -n $(count 127.0.0.1) ]] && echo served
      kill -TERM $server; wait $server; cat said
      """)
    let lines = run.output.split(separator: "\n").map(String.init)
    try #require(lines.count == 4, "\(run.output)\(run.error)")
    #expect(Array(lines[..<2]) == ["74", "served"])
    #expect(lines[2].hasPrefix("arbiter: error: cannot listen on 127.0.0.1:"))
    #expect(lines[2].hasSuffix(": Address already in use"))
    #expect(try place.text("second").isEmpty)
  }

  @Test func `an address that others reach is warned of, once`() throws {
    let place = ExportPlace()
    let run = try place.script("serve 0.0.0.0; kill $server; wait $server; cat remarks")
    #expect(
      run.output == "arbiter: warning: 0.0.0.0 is not loopback: whoever reaches this machine "
        + "there sees the names and the traffic of its programs\n")
    #expect(try place.script("serve 127.8.9.1; kill $server; cat remarks").output.isEmpty)
  }

  @Test func `a missing library is named with its package`() throws {
    let place = ExportPlace()
    let run = try place.script(
      """
      mkdir lib; echo no library >lib/libmicrohttpd.so.12
      LD_LIBRARY_PATH=$PWD/lib "$arbiter" export --listen=127.0.0.1:0
      """)
    #expect(run.code == 69)
    #expect(run.failure.message == "cannot serve metrics: libmicrohttpd.so.12 is not there")
    #expect(run.failure.hint?.contains("apt-get install libmicrohttpd12") == true)
  }
}

@Suite("Export: to files")
struct ExportFileTests {
  @Test func `once prints OpenMetrics`() throws {
    let run = try ExportPlace().script("\"$arbiter\" export --once")
    #expect(run.code == 0 && run.error.isEmpty)
    let text = try MetricsText(run.output, .openMetrics)
    // A second one follows where there are programs to sample.
    #expect([1, 2].contains(text.value("arbiter_readings_total")))
    #expect(text.samples("arbiter_machine_cpu_seconds_total").count == 8)
    #expect(!text.samples("arbiter_blind_spot_info").isEmpty)
  }

  @Test func `what is no plain file is not replaced by metrics`() throws {
    let folder = TemporaryFolder()
    let run = try shell(
      """
      mkfifo pipe; mkdir real; touch real/a.prom; ln -s real/a.prom link.prom
      "$arbiter" export --once --textfile=pipe; code=$?
      test -p pipe && test $code = 64 && "$arbiter" export --once --textfile=link.prom \\
        && test -L link.prom && grep -q arbiter_build_info real/a.prom
      """, in: folder.path)
    #expect(run.code == 0)
    #expect(run.error.hasPrefix("arbiter: error: --textfile=pipe is no plain file\n"))
  }

  @Test func `a process that is named is sampled, and losses are counted beside it`() throws {
    let run = try ExportPlace().script(
      """
      while :; do :; done & child=$!
      "$arbiter" export -p $child --once --interval=500ms; code=$?
      kill $child; exit $code
      """)
    #expect(run.code == 0 && run.error.isEmpty, "\(run.error)")
    let text = try MetricsText(run.output, .openMetrics)
    #expect(!text.samples("arbiter_task_cpu_seconds_total").isEmpty)
    let samples = text.samples("arbiter_sampling_samples_total")
    #expect(text.samples("arbiter_sampling_lost_samples_total").count == samples.count)
    if samples.isEmpty {
      #expect(run.output.contains("figure=\"arbiter_sampling_samples_total\""))
    } else {
      #expect((text.value("arbiter_sampling_samples_total") ?? 0) > 0)
      #expect(text.value("arbiter_readings_total") == 2)
    }
  }

  @Test func `a textfile is whole whenever it is read, for everybody, and stays behind`() throws {
    let place = ExportPlace()
    let run = try place.script(
      """
      umask 077
      "$arbiter" export --textfile=a.prom --interval=10ms 2>remarks & server=$!
      for turn in {1..200}; do [[ -s a.prom ]] && break; sleep 0.05; done
      stat -c %a a.prom
      for turn in {1..100}; do cat a.prom >copy.$turn; done; sleep 0.1; cat a.prom >copy.101
      kill -TERM $server; wait $server; echo $?; ls | grep -v copy; cat remarks
      """)
    #expect(run.output == "644\n0\na.prom\nremarks\n", "\(run.error)")
    var counts: [Double] = []
    for copy in 1...101 {
      let text = try MetricsText(place.text("copy.\(copy)"), .text)
      counts.append(try #require(text.value("arbiter_readings_total")))
      // Its age is the reader's to tell.
      #expect(text.samples("arbiter_reading_age_seconds").isEmpty)
    }
    #expect(counts == counts.sorted() && counts[0] < counts[100])
  }

  @Test func `a file that cannot be written is said once, and tried again`() throws {
    let place = ExportPlace()
    let run = try place.script(
      """
      "$arbiter" export --textfile=a.prom --interval=10ms 2>remarks & server=$!
      for turn in {1..200}; do [[ -s a.prom ]] && break; sleep 0.05; done
      until rm -f a.prom && mkdir a.prom 2>/dev/null; do :; done
      for turn in {1..200}; do [[ -s remarks ]] && break; sleep 0.05; done
      sleep 0.1; rmdir a.prom
      for turn in {1..200}; do [[ -s a.prom ]] && break; sleep 0.05; done
      sleep 0.1; kill -TERM $server; wait $server; echo $?; ls; cat remarks
      """)
    #expect(
      run.output == """
        0
        a.prom
        remarks
        arbiter: warning: cannot write --textfile=a.prom: Is a directory; trying again in every \
        interval
        arbiter: the metrics are written again

        """, "\(run.error)")
  }

  @Test func `a name that the collector does not read is warned of`() throws {
    let place = ExportPlace()
    let run = try place.script(
      """
      "$arbiter" export --textfile=metrics 2>remarks & server=$!
      for turn in {1..200}; do [[ -s remarks ]] && break; sleep 0.05; done
      kill -INT $server; wait $server; echo $?; cat remarks
      """)
    #expect(run.output.hasPrefix("130\narbiter: warning: node_exporter reads files whose names"))
  }
}

@Suite(
  "Export: gated programs", .enabled(if: RunPlace.canCompile, "no compiler or no libpmem"))
struct ExportGatedTests {
  /// The program stands still while its bytes are told, so that both tell the same moment, but for
  /// the copy that each of its two threads may have counted and not yet accounted for.
  @Test func `a gated program's bytes are those of its run`() throws {
    let place = RunPlace()
    let run = try place.script(
      """
      "$arbiter" run --profile=optane-100-256g --format=json --output=s -- \
        $write f 2 60000 64 >copies & run=$!
      for turn in {1..100}; do
        program=$(cat /proc/$run/task/$run/children) && [[ -s f ]] && break; sleep 0.05
      done
      sleep 0.3; kill -STOP $program; sleep 0.2
      kill -USR1 $run
      for turn in {1..100}; do [[ -s s ]] && break; sleep 0.05; done; sleep 0.1
      "$arbiter" export --once >metrics; echo $program
      kill -KILL $program; wait $run
      """)
    let device = "optane-100-256g"
    let process = run.output.split(separator: "\n").first.map(String.init)
    let copies = try #require(try place.summary("s").count("copy_calls_count"), "\(run.error)")
    let text = try MetricsText(Shell.text(of: "\(place.folder.path)/metrics"), .openMetrics)
    // Other tests may gate programs at the same time.
    let written = text.samples("arbiter_task_written_bytes_total").filter {
      $0.labels["process"] == process
    }
    #expect(copies > 0)
    #expect(written.count == 1)
    #expect(abs((written.first?.value ?? 0) - Double(copies * 64)) <= 2 * 64)
    #expect(
      written.first?.labels == [
        "process": process ?? "", "command": "writers", "source": "gates",
      ])
    let gates = text.samples("arbiter_device_gates").first { $0.labels["device"] == device }
    #expect(gates.map(\.value) ?? 0 >= 2)
    let missing = text.samples("arbiter_unavailable_info").compactMap { $0.labels["figure"] }
    #expect(missing.contains("arbiter_device_media_write_bytes_total"))
    #expect(missing.contains("arbiter_task_read_bytes_total"))
    #expect(text.samples("arbiter_device_media_write_bytes_total").isEmpty)
  }
}
