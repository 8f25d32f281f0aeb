import Foundation
import JSONLines
import TestSupport
import Testing

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct StatusVerb {
    static let script = #"{"status":[[{"text":"# + "\(quoted(Sample.status))" + "}]]}"

    @Test func `people get health, causes and two aligned tables`() async throws {
        try await FakeDaemon.with(Self.script) { daemon in
            let run = try await daemon.ctl("status")
            #expect(run.status == 0)
            #expect(run.err.isEmpty)
            #expect(
                run.out == """
                    depot-17: degraded
                      yard: connect 10.0.0.7:502: connection refused

                    CONTROLLER  DRIVER     LINK  STATE    SINCE  LAST GOOD  RESTARTS  LOCKERS  REASON
                    wall        simulator  sim   ready     24 h      80 ms         0        4
                    yard        modbus     yard  faulted  2 min      2 min         3        1  connect 10.0.0.7:502: \
                    connection refused

                    LOCKER   ID  NAME      BANK  DOOR                   AGE  SERVICE                            \
                    LAST OPEN         CYCLES
                    wall/1  101            main  closed               80 ms  ok                                 \
                    opened 2 min ago      41
                    wall/2  102  parcel L  main  open                   3 s  out of service spilt milk (dirty)  \
                    failed 10 s ago     1000
                    wall/3  103            main  no sensor                   broken lock                        \
                    never                  7
                    wall/4  104            main  unknown              never  ok                                 \
                    never                  0
                    yard/1  201                  unknown, was closed  2 min  cannot be fired                    \
                    never                  0

                    """)
        }
    }

    @Test func `programs get the daemon's own bytes on one line`() async throws {
        try await FakeDaemon.with(Self.script) { daemon in
            for arguments in [["--json", "status"], ["status", "--json"]] {
                let run = try await lockerctl(["--socket", daemon.socket] + arguments)
                #expect(run.status == 0)
                #expect(run.out == Sample.status + "\n")
            }
        }
    }

    @Test func `addresses, numbers and scopes reach the daemon as such`() async throws {
        try await FakeDaemon.with(Self.script) { daemon in
            _ = try await daemon.ctl("status", "wall/1", "102", "--bank", "main")
            #expect(
                daemon.requests("status").first?["params"]
                    == ["lockers": ["wall/1", 102], "bank": "main"])
        }
    }

    @Test func `what others typed cannot steer the terminal`() async throws {
        let poisoned = Sample.status.replacingOccurrences(of: "spilt milk", with: "\\u001b[2Jmilk")
        let script = "{\"status\":[[{\"text\":\(quoted(poisoned))}]]}"
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("status")
            #expect(run.out.contains("out of service ?[2Jmilk"))
            #expect(!run.out.contains("\u{1B}"))
        }
    }

    @Test func `a cause of several lines keeps them, indented`() async throws {
        let text = Sample.status.replacingOccurrences(of: "502: conn", with: "502:\\n  conn")
        try await FakeDaemon.with("{\"status\":[[{\"text\":\(quoted(text))}]]}") { daemon in
            let run = try await daemon.ctl("status")
            #expect(
                run.out.contains("  yard: connect 10.0.0.7:502:\n    connection refused\n\nCONTR"))
        }
    }

    @Test func `a reader who leaves early is not complained to`() async throws {
        try await FakeDaemon.with(Self.script) { daemon in
            let command =
                "'\(Checkout.program("lockerctl"))' --socket \(daemon.socket) status | true"
            let run = try await run("/bin/sh", ["-c", command])
            #expect(run.status == 0)
            #expect(run.err.isEmpty)
        }
    }

    @Test func `a sensor that is suspected is marked and told, and jams are counted`() async throws
    {
        let text = Sample.status.replacingOccurrences(
            of: "\"cycles\":41}",
            with: """
                "cycles":41,"jams":5,"doorTimes":{"count":3,"meanMs":80.5,"p95Ms":95},"suspicion":{"kind":"unmoved",\
                "since":"2026-11-21T06:15:30.000Z","message":"the sensor has not moved over 5 pulses"}}
                """
        ).replacingOccurrences(
            of: "\"cycles\":1000}",
            with: "\"cycles\":1000,\"jams\":0,\"doorTimes\":null,\"suspicion\":null}")
        try await FakeDaemon.with("{\"status\":[[{\"text\":\(quoted(text))}]]}") { daemon in
            let run = try await daemon.ctl("status")
            #expect(run.status == 0)
            #expect(run.out.contains("CYCLES  JAMS\n"))
            #expect(run.out.contains("closed?              80 ms"))
            #expect(run.out.contains("opened 2 min ago      41     5\n"))
            #expect(run.out.contains("failed 10 s ago     1000\n"))
            #expect(
                run.out.hasSuffix(
                    "\n\nwall/1: sensor suspected for 2 h: the sensor has not moved over 5 pulses\n"
                ))
        }
    }

    @Test func `controllers are listed alone`() async throws {
        let script = """
            {"controllers":[[{"result":{"controllers":[{"id":"wall","driver":"simulator","link":"sim","state":"ready",
            "since":"2026-11-20T08:15:30.000Z","lastGoodMs":80,"restarts":0,"reason":null,"lockers":4}]}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("controllers")
            #expect(
                run.out == """
                    CONTROLLER  DRIVER     LINK  STATE                     SINCE  LAST GOOD  RESTARTS  LOCKERS
                    wall        simulator  sim   ready  2026-11-20T08:15:30.000Z      80 ms         0        4

                    """)
        }
    }

    @Test func `an uplink that does not deliver is seen`() async throws {
        let uplinks = """
            "uplinks":[{"name":"http","module":"http","state":"quarantined","since":"2026-11-21T08:00:00.000Z",\
            "restarts":5,"reason":"module http died","lastDeliveredMs":61000}]
            """
        let result = #"{"controllers":[],\#(uplinks)}"#
        try await FakeDaemon.with("{\"controllers\":[[{\"result\":\(result)}]]}") { daemon in
            let run = try await daemon.ctl("controllers")
            #expect(run.status == 0)
            #expect(run.out.contains("UPLINK"))
            #expect(run.out.contains("quarantined"))
            #expect(run.out.contains("module http died"))
        }
    }

}

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct StatusWatch {
    /// A wall/1 that opens with the second look, after an event.
    private var script: String {
        let opened = Sample.status
            .replacingOccurrences(
                of: #""door":"closed","doorAgeMs":80"#, with: #""door":"open","doorAgeMs":1"#)
        return """
            {"status":[[{"text":\(quoted(Sample.status))}],[{"text":\(quoted(opened))}]],
            "subscribe":[[{"result":{"seq":12}},{"sleep":0.2},{"notify":"event","params":{"seq":13,
            "at":"2026-11-21T08:15:30.500Z","type":"door.opened","locker":{"id":101,"address":"wall/1"}}}]]}
            """
    }

    @Test func `without a terminal it appends a line for each change`() async throws {
        try await FakeDaemon.with(script) { daemon in
            let watch = try daemon.start("status", "--watch")
            try await watch.waitForOutput("2026-11-21T08:15:30.042Z  wall/1 door open\n")
            #expect(watch.standardOutput.contains("wall/1  101            main  closed"))
            watch.signal(SIGINT)
            #expect(try await watch.exitStatus() == 0)
        }
    }

    @Test func `for programs it prints the status again when something changed`() async throws {
        try await FakeDaemon.with(script) { daemon in
            let watch = try daemon.start("status", "--watch", "--json")
            try await watch.waitForOutput(#""door":"open","doorAgeMs":1,"#)
            // Another look a second later shows nothing new, so nothing is printed.
            try await eventually("a third look") { daemon.requests("status").count >= 3 }
            watch.signal(SIGTERM)
            #expect(try await watch.exitStatus() == 0)
            #expect(watch.standardOutput.split(separator: "\n").count == 2)
        }
    }

    @Test func `on a terminal it draws the screen anew and gives it back`() async throws {
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.terminal(
                [("closed", ""), ("\u{1B}[2J", ""), ("open ", "\u{3}")], "status", "--watch")
            #expect(run.status == 0)
            #expect(run.out.hasPrefix("\u{1B}[?1049h"))
            #expect(run.out.hasSuffix("\u{1B}[?1049l"))
            let widest = run.out.split { $0.isNewline || $0 == "\u{1B}" }.map(\.count).max() ?? 0
            #expect(widest == 100, "lines are cut to the window's 100 columns")
            #expect(run.out.utf8.contains(UInt8(ascii: "\n")))
            #expect(!run.out.unicodeScalars.map(\.value).contains([13, 13]))
        }
    }

    @Test func `a daemon that goes away ends it with status 3`() async throws {
        try await FakeDaemon.with(script) { daemon in
            let watch = try daemon.start("status", "--watch")
            try await watch.waitForOutput("wall/1")
            daemon.process.signal(SIGKILL)
            #expect(try await watch.exitStatus() == 3)
            try await eventually("it says why") {
                watch.standardError.contains(
                    "the connection to lockerd at \(daemon.socket) was lost")
            }
        }
    }
}

/// A text as a JSON string.
func quoted(_ text: String) -> String {
    let escaped = text.replacingOccurrences(of: "\\", with: "\\\\")
        .replacingOccurrences(of: "\"", with: "\\\"")
    return "\"\(escaped)\""
}
