import Foundation
import JSONLines
import TestSupport
import Testing

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct EventsVerb {
    private func event(_ seq: Int) -> String {
        """
        {"notify":"event","params":{"seq":\(seq),"at":"2026-11-21T08:15:30.500Z","type":"controller.state",
        "controller":"yard","state":"faulted","reason":"no answer"}}
        """
    }

    @Test func `events are lines for people and JSON for programs`() async throws {
        let script = "{\"subscribe\":[[{\"result\":{\"seq\":12}},\(event(13)),{\"sleep\":60}]]}"
        try await FakeDaemon.with(script) { daemon in
            let people = try daemon.start("events", "--since", "12", "--types", "controller.state")
            try await people.waitForOutput(
                "2026-11-21T08:15:30.500Z  13  controller.state  yard  state=faulted  "
                    + "reason=\"no answer\"\n")
            people.signal(SIGINT)
            #expect(try await people.exitStatus() == 0)
            #expect(
                daemon.requests("subscribe").first?["params"]
                    == ["since": 12, "types": ["controller.state"]])

            let programs = try daemon.start("events", "--json")
            try await programs.waitForOutput(#"{"seq": 13, "at": "2026-11-21T08:15:30.500Z""#)
            programs.signal(SIGTERM)
            #expect(try await programs.exitStatus() == 0)
        }
    }

    @Test func `what an event carries is shown in words`() async throws {
        let script = """
            {"subscribe":[[{"result":{"seq":12}},
            {"notify":"event","params":{"seq":13,"at":"T","type":"health.changed","health":"down",
            "causes":[{"code":"c","subject":"s","message":"no answer"},{"code":"c","subject":"t","message":"gone"}]}},
            {"notify":"event","params":{"seq":14,"at":"T","type":"operation.done","operation":"op-7",
            "summary":{"opened":4,"failed":1},"attempts":1,"timing":{"busMs":1},"reason":null}},
            {"notify":"event","params":{"seq":15,"at":"T","type":"operation.done","locker":{"id":1,"address":"wall/1"},
            "error":\(Sample.fault("LINK_DOWN", "refused"))}},{"close":true}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("events")
            #expect(
                run.out == """
                    T  13  health.changed  health=down  causes="no answer; gone"
                    T  14  operation.done  operation=op-7  summary="opened 4, failed 1"
                    T  15  operation.done  wall/1  error=refused

                    """)
        }
    }

    @Test func `what doors and sensors did is told in words`() async throws {
        let events = [
            (#""type":"door.opened""#, ""),
            (
                #""type":"door.opened","operation":"op-7","late":true,"outcome":"opened-late","doorMs":6250"#,
                "late, 6.2 s after op-7 fired; it is opened-late now"
            ),
            (
                #""type":"door.held","openMs":301000,"limitMs":300000"#,
                "stands open for 5 min; the limit is 5 min"
            ),
            (#""type":"door.closed","openMs":7200000"#, "had stood open for 2 h"),
            (
                #""type":"door.forced","sinceLastPulseMs":90000"#,
                "opened without a pulse; the last one was 1 min before"
            ),
            (
                #""type":"door.forced","sinceLastPulseMs":null"#,
                "opened without a pulse; it has had none since lockerd started"
            ),
            (
                #""type":"sensor.suspect","suspicion":{"kind":"unmoved","since":"T","message":"it has not moved"}"#,
                "it has not moved; look at it, or mark the lock broken"
            ),
            (#""type":"sensor.suspect","suspicion":null"#, "not suspected any more"),
        ]
        let notes = events.enumerated().map { index, event in
            """
            {"notify":"event","params":{"seq":\(index + 1),"at":"T",\(event.0),"locker":{"id":1,"address":"wall/1"}}}
            """
        }
        let dropped = """
            {"notify":"event","params":{"seq":20,"at":"T","type":"events.dropped","from":9,"to":20,"reason":"power"}}
            """
        let script = """
            {"subscribe":[[{"result":{"seq":0}},\((notes + [dropped]).joined(separator: ",")),{"close":true}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("events")
            let lines = events.enumerated().map { index, event in
                let type = event.0.split(separator: "\"")[2]
                return "T  \(index + 1)  \(type)  wall/1" + (event.1.isEmpty ? "" : "  \(event.1)")
            }
            #expect(
                run.out
                    == (lines + ["T  20  events.dropped  9 to 20 will not come: power", ""])
                    .joined(separator: "\n"))
        }
    }

    @Test func `a reader who has seen enough ends it quietly`() async throws {
        let stream = (13..<60).map { event($0) + ",{\"sleep\":0.05}" }.joined(separator: ",")
        let script = "{\"subscribe\":[[{\"result\":{\"seq\":12}},\(stream),{\"sleep\":60}]]}"
        try await FakeDaemon.with(script) { daemon in
            let command =
                "'\(Checkout.program("lockerctl"))' --socket \(daemon.socket) events | head -n 1"
            let run = try await run("/bin/sh", ["-c", command])
            #expect(run.status == 0)
            #expect(run.out.split(separator: "\n").count == 1)
            #expect(run.err.isEmpty)
        }
    }

    @Test func `a daemon that ends is reported with status 3`() async throws {
        let script = "{\"subscribe\":[[{\"result\":{\"seq\":12}},\(event(13)),{\"close\":true}]]}"
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("events")
            #expect(run.status == 3)
            #expect(run.out.contains("  13  "))
            #expect(run.err.contains("was lost"))
        }
    }
}
