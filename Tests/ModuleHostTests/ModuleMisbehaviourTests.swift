import Foundation
import LockerCore
import LockerKit
import LockerKitTesting
import ModuleHost
import SiteModel
import TestSupport
import Testing

@Suite(
    "A module that misbehaves",
    .enabled(if: FakeModule.whyNot == nil, "\(FakeModule.whyNot ?? "")"))
struct ModuleMisbehaviourTests {
    private func down(_ changes: String, clock: any MonotonicClock = ContinuousClock())
        async throws -> String
    {
        var reason = ""
        try await Bench.with(changes, clock: clock) { bench in
            try await eventually("the link is down; reports: \(bench.reports.list)") {
                !bench.reports.downs.isEmpty
            }
            reason = bench.reports.downs.first ?? ""
        }
        return reason
    }

    @Test("dies at hello: the reason holds exit code and last words")
    func diesAtHello() async throws {
        let reason = try await down(
            #"""
            def hello(params):
                complain("warming up")
                complain("Driver.swift:7: Fatal error: no hardware here")
                complain("Current stack trace:")
                os._exit(3)
            """#)
        #expect(
            reason
                == "module fake ended by itself with exit code 3; it last printed \"Driver.swift:7: Fatal error: no hardware here\""
        )
    }

    @Test("speaks another major: it is told apart before anything else and tried again slowly")
    func wrongMajor() async throws {
        let changes = #"""
            def hello(params):
                return {"protocol": {"major": 2}}
            """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            try await eventually("it is down") { bench.reports.isDown }
            #expect(
                bench.reports.downs
                    == ["module fake is refused: it answers hello with protocol 2; want 1"])
            await clock.waitForSleepers(1)
            clock.advance(by: .milliseconds(29_999))
            #expect(clock.sleepers == 1)
            clock.advance(by: .milliseconds(1))
            try await eventually("it is tried again") { bench.reports.downs.count == 2 }
        }
    }

    @Test(
        "cannot understand its options: its own message is the reason, and it is tried again slowly"
    )
    func refusesOptions() async throws {
        let changes = #"""
            def configure(params):
                refuse("INVALID_REQUEST", "link.baud is 12; want 1200-115200")
            """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            try await eventually("it is down") { bench.reports.isDown }
            #expect(
                bench.reports.downs
                    == ["module fake refused configure: link.baud is 12; want 1200-115200"])
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(29))
            #expect(clock.sleepers == 1)
        }
    }

    @Test(
        "answers configure wrongly: the reason says what is missing",
        arguments: [
            ("{\"controllers\": []}", "answered configure without controller \"wall\""),
            ("{}", "answered configure wrongly: result.controllers is missing; want an array"),
        ])
    func wrongConfigure(result: String, reason: String) async throws {
        let answer = try await down("def configure(params):\n    return \(result)\n")
        #expect(answer == "module fake \(reason)")
    }

    @Test(
        "writes what is no message: it is killed and the reason shows the line's start",
        arguments: [
            ("write(\"starting up ...\\n\")", "not JSON"),
            ("write(\"[1, 2]\\n\")", "want an object"),
            (
                "write(\"{\\\"jsonrpc\\\": \\\"2.0\\\", \\\"id\\\": \\\"x\\\", \\\"result\\\": 1}\\n\")",
                "want an integer"
            ),
            ("sys.stdout.buffer.write(b\"\\xff\\xfe\\x00\\n\"); sys.stdout.flush()", "not JSON"),
        ])
    func garbage(statement: String, words: String) async throws {
        let reason = try await down("def hello(params):\n    \(statement)\n    time.sleep(60)\n")
        #expect(reason.hasPrefix("module fake sent a line that is no message: "))
        #expect(reason.contains(words))
    }

    @Test("sends requests of its own: it is killed")
    func requests() async throws {
        let reason = try await down(
            #"""
            def hello(params):
                send({"jsonrpc": "2.0", "id": 1, "method": "open", "params": {}})
                time.sleep(60)
            """#)
        #expect(reason == "module fake sent the request \"open\"; the daemon takes none")
    }

    @Test("sends a line at the limit: it is read; one byte more: it is killed")
    func overlong() async throws {
        func changes(_ length: Int) -> String {
            #"""
            def hello(params):
                line = json.dumps({"jsonrpc": "2.0", "method": "pad", "params": {"x": ""}})
                write(line.replace('""', '"' + "x" * (\#(length) - len(line)) + '"') + "\n")
                return {"protocol": {"major": 1, "minor": 0}, "module": "fake", "version": "0"}
            """#
        }
        try await Bench.with(changes(256 * 1024)) { bench in
            _ = try await bench.reports.readyController()
        }
        let reason = try await down(changes(256 * 1024 + 1))
        #expect(reason == "module fake sent a line longer than 262144 bytes")
    }

    @Test(
        "hangs in an open: whether the coil fired is unknown, and it is killed two seconds after the deadline"
    )
    func hangsInOpen() async throws {
        let changes = #"""
            def open_(params):
                seen(1)
                time.sleep(600)
            """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            let wall = try await bench.reports.readyController()
            let open = Task {
                await thrown { () throws(LockerError) in
                    try await wall.open(OpenCommand(locker: 1, pulse: .milliseconds(200)))
                }
            }
            try await eventually("the open reached the module") { !bench.reports.doors.isEmpty }
            let queued = Task {
                await thrown { () throws(LockerError) in
                    try await wall.open(OpenCommand(locker: 2, pulse: .milliseconds(200)))
                }
            }
            let pid = try await bench.processID()
            clock.advance(by: .milliseconds(5199))
            await clock.waitForSleepers(1)
            #expect(exists(pid))
            clock.advance(by: .milliseconds(1))
            let error = await open.value
            #expect(
                error
                    == LockerError(
                        .timedOut, "module fake did not answer open within 5200 ms",
                        fired: .unknown, sent: .maybe))
            #expect(
                await queued.value
                    == LockerError(.linkDown, "module fake did not answer open within 5200 ms"))
            await clock.waitForSleepers(1)
            clock.advance(by: ModuleDeadlines.exit - .milliseconds(1))
            #expect(exists(pid))
            clock.advance(by: .milliseconds(1))
            try await eventually("it is down") { bench.reports.isDown }
            #expect(bench.reports.downs == ["module fake did not answer open within 5200 ms"])
            #expect(!exists(pid))
        }
    }

    @Test("dies in an open: whether the coil fired is unknown")
    func diesInOpen() async throws {
        let changes = #"""
            def open_(params):
                seen(1)
                time.sleep(600)
            """#
        try await Bench.with(changes) { bench in
            let wall = try await bench.reports.readyController()
            let open = Task {
                await thrown { () throws(LockerError) in
                    try await wall.open(OpenCommand(locker: 1, pulse: .milliseconds(200)))
                }
            }
            try await eventually("the open reached the module") { !bench.reports.doors.isEmpty }
            kill(try await bench.processID(), SIGKILL)
            #expect(
                await open.value
                    == LockerError(
                        .linkDown, "module fake was ended by signal 9 (SIGKILL)", fired: .unknown,
                        sent: .maybe))
        }
    }

    @Test("does not answer hello: it is let go after five seconds")
    func silent() async throws {
        let clock = ManualClock()
        try await Bench.with("time.sleep(600)", clock: clock) { bench in
            _ = try await bench.processID()
            // The deadline of hello is the one thing anybody sleeps for now.
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(5))
            await clock.waitForSleepers(1)
            clock.advance(by: ModuleDeadlines.exit)
            try await eventually("it is down") { bench.reports.isDown }
            #expect(bench.reports.downs == ["module fake did not answer hello within 5000 ms"])
        }
    }

    @Test("ignores the end of its input and SIGTERM: it is killed after two seconds")
    func staysOn() async throws {
        let changes = #"""
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            def at_end():
                note("end of input")
                time.sleep(600)
            """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            _ = try await bench.reports.readyController()
            let pid = try await bench.processID()
            bench.run.cancel()
            try await eventually("it saw the end") {
                FakeModule.notes(in: bench.folder).contains("end of input")
            }
            // The wait for its exit; the deadline of the stop call is watched no longer.
            await clock.waitForSleepers(1)
            #expect(exists(pid))
            clock.advance(by: ModuleDeadlines.exit)
            await bench.run.value
            #expect(!exists(pid))
        }
    }

    @Test("closes its output and stays: it is let go and then killed")
    func closesOutput() async throws {
        let changes = #"""
            def start(params):
                os.close(0)
                os.close(1)
                time.sleep(600)
            """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            let pid = try await bench.processID()
            try await eventually("it is down") {
                if clock.sleepers > 0, bench.host.processID(ofLink: "yard") != nil {
                    clock.advance(by: .milliseconds(50))
                }
                return bench.reports.isDown
            }
            #expect(
                bench.reports.downs
                    == ["module fake closed its output but did not exit within 2000 ms"])
            #expect(!exists(pid))
        }
    }

    @Test("leaves a child behind that holds its socket: both are gone")
    func leavesChild() async throws {
        let changes = #"""
            def start(params):
                child = os.fork()
                if child == 0:
                    time.sleep(600)
                note(str(child))
                return {}
            """#
        try await Bench.with(changes) { bench in
            _ = try await bench.reports.readyController()
            let child = try #require(
                FakeModule.notes(in: bench.folder).first.flatMap { Int32($0) })
            #expect(exists(child))
            kill(try await bench.processID(), SIGKILL)
            try await eventually("it is ready again") { bench.reports.readyCount == 2 }
            try await eventually("the child is gone") { !isRunning(child) }
        }
    }

    @Test("dies again and again: it is quarantined, and a restart on request ends that at once")
    func crashLoop() async throws {
        let changes = #"""
            if not os.path.exists(HERE + "/mended"):
                sys.exit("not mended yet")
            """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            try await eventually("it is quarantined; reports: \(bench.reports.list)") {
                if bench.reports.isDown { clock.advance(by: .milliseconds(500)) }
                return !bench.reports.quarantined.isEmpty
            }
            let reason =
                "module fake ended by itself with exit code 1; it last printed \"not mended yet\""
            #expect(bench.reports.quarantined == [reason])
            #expect(bench.reports.downs == Array(repeating: reason, count: 4))
            await clock.waitForSleepers(1)
            clock.advance(by: .seconds(599))
            #expect(clock.sleepers == 1)
            try write("", to: "\(bench.folder)/modules/fake/mended")
            await bench.host.restart(link: "yard")
            try await eventually("it is ready") { bench.reports.readyCount == 1 }
        }
    }

    @Test("The start after a quarantine is on probation")
    func probation() async throws {
        let clock = ManualClock()
        try await Bench.with("sys.exit(1)", clock: clock) { bench in
            try await eventually("it is quarantined") {
                if bench.reports.isDown { clock.advance(by: .milliseconds(500)) }
                return !bench.reports.quarantined.isEmpty
            }
            await clock.waitForSleepers(1)
            clock.advance(by: RestartPolicy.quarantine)
            try await eventually("it is quarantined again") {
                bench.reports.quarantined.count == 2
            }
            #expect(bench.reports.downs.count == 4)
        }
    }

    @Test("A module whose files others may write to is not started")
    func vetted() async throws {
        let clock = ManualClock()
        try await Bench.with("note(\"ran\")", clock: clock) { bench in
            _ = try await bench.reports.readyController()
            let folder = "\(bench.folder)/modules/fake"
            #expect(chmod(folder, 0o777) == 0)
            let ran = FakeModule.notes(in: bench.folder).filter { $0 == "ran" }.count
            await bench.host.restart(link: "yard")
            try await eventually("it is refused") { bench.reports.downs.count == 2 }
            #expect(
                bench.reports.downs.last
                    == "module fake is refused: \(folder) has mode 0777; want no write permission for group and others"
            )
            #expect(FakeModule.notes(in: bench.folder).filter { $0 == "ran" }.count == ran)
        }
    }

    @Test("An executable that cannot be executed is a reason, not a crash")
    func notAProgram() async throws {
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder)
            try write("#!/nowhere/python\n", to: "\(module.directory)/fake-module", mode: 0o755)
            let reports = Reports()
            let host = ModuleHost(daemonVersion: "0", logger: quietLogger)
            let run = Task {
                await host.run(.init(name: "yard", driver: "fake", module: module)) {
                    reports.take($0)
                }
            }
            try await eventually("it is down") { reports.isDown }
            #expect(
                reports.downs == [
                    "module fake cannot be started: exec of \(module.directory)/fake-module: no such file or interpreter"
                ])
            run.cancel()
            await run.value
        }
    }

    /// Whether it exists and is no zombie that only waits for somebody to ask for it.
    private func isRunning(_ pid: Int32) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
            return false
        }
        return !status.contains(") Z ")
    }
}
