import Foundation
import LockerCore
import LockerKit
import LockerKitTesting
import Logging
import SiteModel
import TestSupport
import Testing

@testable import ModuleHost

/// What a module does to coils that are on when it has to stop or to go.
@Suite(
    "Bringing a module to rest",
    .enabled(if: FakeModule.whyNot == nil, "\(FakeModule.whyNot ?? "")"))
struct ModuleStopTests {
    /// An open that goes on until a file `go` appears.
    private static let longPulse = #"""
        def until_go():
            while not os.path.exists(HERE + "/go"):
                time.sleep(0.01)
        """#

    private func go(_ bench: Bench) throws {
        try write("", to: "\(bench.folder)/modules/fake/go")
    }

    /// Has gone out or waits for its turn when this returns.
    private func fire(
        _ controller: any LockController, _ locker: Int, pulse: Duration = .milliseconds(200)
    ) -> Task<LockerError?, Never> {
        Task.immediate {
            await thrown { () throws(LockerError) in
                try await controller.open(OpenCommand(locker: locker, pulse: pulse))
            }
        }
    }

    @Test(
        "A module that misbehaves in the middle of a pulse still sends its off order; its call is answered at once",
        arguments: [
            ("write(\"relay 1 is on\\n\")", Duration.zero, LockerError.Code.linkDown),
            ("write(\"x\" * 300000)", .zero, .linkDown),
            ("pass", .milliseconds(5200), .timedOut),
        ])
    func misbehavesInPulse(statement: String, late: Duration, code: LockerError.Code) async throws {
        let changes =
            Self.longPulse + #"""

                def open_(params):
                    note("on")
                    seen(1)
                    \#(statement)
                    until_go()
                    answer(current, {"evidence": "none"})
                    note("off")

                """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            let wall = try await bench.reports.readyController()
            let open = fire(wall, 1)
            try await eventually("the pulse has begun") { !bench.reports.doors.isEmpty }
            clock.advance(by: late)
            let answer = OneShot<LockerError?>()
            Task { answer.fulfil(await open.value) }
            try await eventually("it is answered before the module is gone") {
                answer.current != nil
            }
            let error = await open.value
            #expect(error?.code == code && error?.fired == .unknown && error?.sent == .maybe)
            #expect(FakeModule.notes(in: bench.folder) == ["on"])
            try go(bench)
            try await eventually("it is down") { bench.reports.isDown }
            #expect(FakeModule.notes(in: bench.folder) == ["on", "off", "end of input"])
        }
    }

    @Test("What a module still writes after it misbehaved is let go, however much it is")
    func flood() async throws {
        let changes = #"""
            def hello(params):
                write("no message\n")
                for _ in range(64):
                    write("x" * 1000000)
                note("flooded")
            """#
        // On a clock that stands still only the end of the flood can end the module.
        try await Bench.with(changes, clock: ManualClock()) { bench in
            try await eventually("it is down") { bench.reports.isDown }
            #expect(FakeModule.notes(in: bench.folder) == ["flooded", "end of input"])
        }
    }

    @Test("A stop waits longer than the longest open that it may have to follow")
    func stopAfterOpen() async throws {
        // Takes the order to stop off the line by itself, and carries it out after the pulse.
        let changes =
            Self.longPulse + #"""

                def open_(params):
                    order = json.loads(sys.stdin.readline())
                    seen(1)
                    until_go()
                    answer(current, {"evidence": "none"})
                    answer(order["id"], stop(order["params"]))

                """#
        let clock = ManualClock()
        try await Bench.with(changes, clock: clock) { bench in
            let wall = try await bench.reports.readyController()
            let open = fire(wall, 1, pulse: Limits.longestPulse)
            await clock.waitForSleepers(1)
            let stop = Task { await thrown { () throws(LockerError) in try await wall.stop() } }
            try await eventually("the stop is out") { !bench.reports.doors.isEmpty }
            clock.advance(
                by: Limits.longestPulse + ModuleDeadlines.openBeyondPulse - .milliseconds(1))
            try go(bench)
            #expect(await open.value == nil)
            #expect(await stop.value == nil)
            #expect(bench.reports.downs.isEmpty)
        }
    }

    @Test(
        "After a stop nothing reaches its controller until the next start, also not what was waiting"
    )
    func nothingAfterStop() async throws {
        let changes = #"""
            held = None
            def open_(params):
                global held
                note("open %s" % params["locker"])
                if params["locker"] > 1:
                    return {"evidence": "none"}
                held = current
                seen(1)
            def doors(params):
                note("doors " + params["controller"])
                return {"doors": []}
            def stop(params):
                note("stop " + params["controller"])
                if held:
                    answer(held, {"evidence": "none"})
                return {}
            """#
        try await Bench.with(changes, controllers: ["wall", "gate"]) { bench in
            let wall = try await bench.reports.readyController()
            let gate = try await bench.reports.readyController("gate")
            let first = fire(wall, 1)
            try await eventually("the first is out") { !bench.reports.doors.isEmpty }
            let waiting = fire(wall, 2)
            try await wall.stop()
            let refusal = LockerError(.linkDown, "controller \"wall\" is being stopped")
            #expect(await first.value == nil)
            #expect(await waiting.value == refusal)
            #expect(await fire(wall, 3).value == refusal)
            #expect(
                await thrown { () throws(LockerError) in try await wall.readDoors() } == refusal)
            _ = try await gate.readDoors()
            #expect(
                FakeModule.notes(in: bench.folder) == ["open 1", "stop wall", "doors gate"])
            try await wall.start()
            #expect(await fire(wall, 4).value == nil)
            #expect(FakeModule.notes(in: bench.folder).last == "open 4")
        }
    }

    @Test("An output that a module could not switch off when it was stopped is reported")
    func outputsAtRest() async throws {
        let changes = #"""
            def stop(params):
                if params["controller"] == "gate":
                    refuse("OUTPUT_STUCK", "coil 3 may still be on", fired="yes", sent="yes")
                    return None
                return {}
            """#
        try await Bench.with(changes, controllers: ["wall", "gate"]) { bench in
            _ = try await bench.reports.readyController()
            bench.run.cancel()
            await bench.run.value
            let said = bench.reports.list.compactMap { report -> String? in
                guard case .stuckAtRest(let id, let reason) = report else { return nil }
                return "\(id): \(reason)"
            }
            #expect(said == ["gate: coil 3 may still be on"])
        }
    }

    @Test("A module is told which log lines the daemon wants")
    func logLevel() async throws {
        let changes = #"""
            def hello(params):
                note("level " + params["logLevel"])
                return {"protocol": {"major": 1, "minor": 0}, "module": "fake", "version": "0.1"}
            """#
        var log = LogRecorder().logger
        log.logLevel = .debug
        try await Bench.with(changes, log: log) { bench in
            _ = try await bench.reports.readyController()
            #expect(FakeModule.notes(in: bench.folder) == ["level debug"])
        }
    }

    @Test("Winding down one process leaves the controllers of the next alone")
    func windDownOfOne() async throws {
        let changes = #"""
            def stop(params):
                note("stop of %d" % os.getpid())
                return {}
            """#
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder, changes)
            let plan = LinkPlan(
                name: "yard", driver: "fake", module: module,
                controllers: [ControllerPlan(id: "wall", lockers: [LockerPlan(id: 1, number: 1)])])
            let clock = ContinuousClock()
            let duty = LinkDuty(plan, logger: quietLogger, clock: clock) { _ in }
            let subject = ModuleSubject(module: module, name: "yard")
            var sessions: [ModuleSession] = []
            for _ in 0..<2 {
                let session = try await ModuleSession.launch(
                    subject, logger: quietLogger, clock: clock, loops: ModuleSession.ownLoops)
                try await duty.prepare(session)
                sessions.append(session)
            }
            await duty.windDown(sessions[0])
            #expect(FakeModule.notes(in: folder) == ["stop of \(sessions[0].pid)"])
            for session in sessions { await session.retire() }
        }
    }

    @Test("A process that cannot be listened to sees the end of its input")
    func unheard() async throws {
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder)
            let subject = ModuleSubject(module: module, name: "yard")
            let child = try await ProcessKeeper.shared.spawn(
                ProcessKeeper.Order(
                    directory: module.directory,
                    executable: "\(module.directory)/\(module.executable)",
                    environment: ModuleSession.environment(for: subject)))
            // A file is what the bootstrap of a pipe refuses.
            let file = open("\(folder)/file", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
            #expect(dup2(file, child.errors) == child.errors)
            close(file)
            let session = await ModuleSession.adopt(
                child, for: subject, logger: quietLogger, clock: ManualClock(),
                loops: ModuleSession.ownLoops)
            defer { ProcessKeeper.shared.kill(child) }
            try await eventually("it saw the end") {
                FakeModule.notes(in: folder) == ["end of input"]
            }
            let reason = await session.death.wait()
            #expect(reason?.hasPrefix("cannot be listened to: ") == true)
        }
    }
}
