import Foundation
import JSONLines
import TestSupport
import Testing

@Suite(.enabled(if: Python.whyNot == nil, "\(Python.whyNot ?? "")"))
struct OpenAllVerb {
    private let pending = #"{"operation":"op-7","state":"pending","results":[]}"#
    private let good =
        #"{"locker":{"id":101,"address":"wall/1"},"outcome":"opened","evidence":"door-sensor"}"#

    private var done: String {
        """
        {"operation":"op-7","state":"done","results":[\(good),
        {"locker":{"id":102,"address":"wall/2"},"error":\(Sample.fault("LINK_DOWN", "the bus is silent"))},
        {"locker":{"id":103,"address":"wall/3"},"outcome":"skipped","reason":"out of service"}],
        "summary":{"opened":1,"failed":1,"skipped":1,"unknown":0}}
        """.replacingOccurrences(of: "\n", with: "")
    }

    private func script(opensFirst: String = "") -> String {
        """
        {"status":[[{"text":\(quoted(Sample.status))}]],
        "operation":[[{"text":\(quoted(pending))}]],
        "open-all":[[{"text":\(quoted(pending))},
        {"sleep":0.3},{"notify":"progress","params":{"operation":"op-7","done":1,"total":3,
        "locker":{"id":101,"address":"wall/1"},"outcome":"opened","evidence":"door-sensor"}},
        {"sleep":0.3},{"set":{"operation":[[{"text":\(quoted(done))}]]}},
        {"notify":"progress","params":{"operation":"op-7","done":3,"total":3,
        "locker":{"id":103,"address":"wall/3"},"outcome":"skipped","reason":"out of service"}}]]}
        """
    }

    @Test func `without a terminal and without consent it opens nothing`() async throws {
        try await FakeDaemon.with(script()) { daemon in
            let run = try await daemon.ctl("open-all")
            #expect(run.status == 2)
            #expect(run.err.contains("--yes"))
            #expect(daemon.requests("open-all").isEmpty)
        }
    }

    @Test func `each locker's fate and the counts are printed, a failure is the exit status`()
        async throws
    {
        try await FakeDaemon.with(script()) { daemon in
            let run = try await daemon.ctl("open-all", "--yes", "--controller", "wall")
            #expect(run.status == 1)
            #expect(
                run.out == """
                    wall/1 opened (door sensor)
                    wall/2: not opened: link is down: the bus is silent; nothing was fired
                    wall/3 skipped: out of service
                    op-7: 1 opened, 1 failed, 1 skipped, 0 unknown

                    """)
            #expect(run.err == "lockerctl: 1 of 3 lockers did not surely open\n")
            let params = daemon.requests("open-all").first?["params"]
            #expect(params?["controller"] == "wall")
        }
    }

    @Test func `programs get the result alone`() async throws {
        try await FakeDaemon.with(script()) { daemon in
            let run = try await daemon.ctl("open-all", "--yes", "--json")
            #expect(run.status == 1)
            #expect(run.out == done + "\n")
        }
    }

    @Test func `on a terminal it asks, and a no opens nothing`() async throws {
        try await FakeDaemon.with(script()) { daemon in
            let run = try await daemon.terminal(
                [("Open the whole site of depot-17, 5 lockers? [y/N] ", "n\r")], "open-all")
            #expect(run.status == 1)
            #expect(run.out.contains("nothing was opened"))
            #expect(daemon.requests("open-all").isEmpty)
        }
    }

    @Test func `on a terminal a yes opens and the progress is drawn`() async throws {
        try await FakeDaemon.with(script()) { daemon in
            let run = try await daemon.terminal(
                [
                    ("Open bank main of depot-17, 5 lockers? [y/N] ", "yes\r"),
                    ("[########................]  1/3  wall/1 opened (door sensor)", ""),
                ], "open-all", "--bank", "main")
            #expect(run.status == 1)
            #expect(run.out.contains("op-7: 1 opened, 1 failed, 1 skipped, 0 unknown"))
        }
    }

    /// A daemon that can say how long it will take.
    private func planningScript() -> String {
        let plan = #"{"dryRun":true,"total":5,"skipped":1,"estimateMs":6250}"#
        return script().replacingOccurrences(
            of: "\"open-all\":[[",
            with: """
                "version":[[{"result":{"daemon":"lockerd","version":"9.9.9","protocol":{"major":1,"minor":1}}}]],\
                "open-all":[[{"text":\(quoted(plan))}],[
                """)
    }

    @Test func `the time it will take is shown before anybody says yes`() async throws {
        try await FakeDaemon.with(planningScript()) { daemon in
            let run = try await daemon.terminal(
                [
                    (
                        "Open bank main of depot-17, 5 lockers (at least 6.2 s, 1 of 5 left alone)? [y/N] ",
                        "n\r"
                    )
                ], "open-all", "--bank", "main", "--key", "k1")
            #expect(run.status == 1)
            #expect(
                daemon.requests("open-all").map { $0["params"] }
                    == [["bank": "main", "dryRun": true]])
        }
    }

    @Test func `with consent given beforehand the time is told on a terminal`() async throws {
        try await FakeDaemon.with(planningScript()) { daemon in
            let run = try await daemon.terminal([], "open-all", "--yes")
            #expect(run.out.hasPrefix("opening takes at least 6.2 s, 1 of 5 left alone"))
            #expect(run.out.contains("op-7: 1 opened, 1 failed, 1 skipped, 0 unknown"))
        }
        try await FakeDaemon.with(script()) { daemon in
            _ = try await daemon.ctl("open-all", "--yes")
            #expect(daemon.requests("open-all").allSatisfy { $0["params"]?["dryRun"] == nil })
        }
    }

    @Test func `progress is drawn on terminals only`() async throws {
        try await FakeDaemon.with(script()) { daemon in
            let run = try await daemon.ctl("open-all", "--yes")
            #expect(!run.err.contains("[#"))
            #expect(!run.out.contains("[#"))
        }
    }

    @Test func `an interrupt cancels and tells what was fired`() async throws {
        let cancelled = #"{"operation":"op-7","state":"cancelled","results":["# + good + #"]}"#
        let script = """
            {"open-all":[[{"text":\(quoted(pending))}]],
            "operation":[[{"text":\(quoted(pending))}]],
            "cancel":[[{"set":{"operation":[[{"text":\(quoted(cancelled))}]]}},
            {"result":{"operation":"op-7","state":"cancelled","fired":[{"id":101,"address":"wall/1"}],
            "notFired":[{"id":102,"address":"wall/2"},{"id":103,"address":"wall/3"}]}}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let process = try daemon.start("open-all", "--yes")
            try await eventually("it follows the operation") {
                !daemon.requests("operation").isEmpty
            }
            process.signal(SIGINT)
            #expect(try await process.exitStatus() == 1)
            try await eventually("it tells what was fired") {
                process.standardError == """
                    lockerctl: op-7 cancelled: 1 fired (wall/1); 2 will not be fired (wall/2, wall/3)

                    """
            }
            #expect(daemon.requests("cancel").count == 1)
        }
    }

    @Test func `a daemon lost half-way leaves the operation's id and what to do with it`()
        async throws
    {
        let script = """
            {"open-all":[[{"text":\(quoted(pending))}]],
            "operation":[[{"text":\(quoted(pending))}],[{"close":true}]]}
            """
        try await FakeDaemon.with(script) { daemon in
            let run = try await daemon.ctl("open-all", "--yes")
            #expect(run.status == 1)
            #expect(run.err.contains("lost sight of op-7, which may still be going on"))
            #expect(run.err.contains("\"lockerctl cancel op-7\" stops it"))
        }
    }

    @Test func `a daemon lost before the answer leaves it unknown whether any lock fired`()
        async throws
    {
        try await FakeDaemon.with(#"{"open-all":[[{"close":true}]]}"#) { daemon in
            let run = try await daemon.ctl("open-all", "--yes")
            #expect(run.status == 1)
            #expect(run.err.contains("unknown whether any lock fired"))
        }
    }
}
