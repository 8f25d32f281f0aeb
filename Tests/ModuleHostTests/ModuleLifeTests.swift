import Foundation
import LockerCore
import LockerKit
import LockerKitTesting
import ModuleHost
import SiteModel
import TestSupport
import Testing

extension ManualClock: TurnableClock {}

@Suite("A module's life", .enabled(if: FakeModule.whyNot == nil, "\(FakeModule.whyNot ?? "")"))
struct ModuleLifeTests {
    @Test("A module becomes ready, opens, reads its doors and is stopped in order")
    func wellBehaved() async throws {
        try await Bench.with(controllers: ["wall", "gate"]) { bench in
            let wall = try await bench.reports.readyController()
            #expect(
                wall.capabilities
                    == Capabilities(
                        pulseTiming: .board, evidence: .echo, maximumTogether: 2,
                        polarityKnown: true, doorSensors: true))
            let report = try await wall.open(OpenCommand(locker: 1, pulse: .milliseconds(200)))
            #expect(
                report
                    == OpenReport(
                        evidence: .echo, doorBefore: .closed, doorAfter: .open,
                        bus: .milliseconds(1.5), pulse: .milliseconds(200)))
            let before = ContinuousClock.now
            let doors = try await wall.readDoors()
            let door = try #require(doors.first)
            #expect(doors.count == 1 && door.locker == 1 && door.door.value == .closed)
            #expect(door.door.takenAt >= before - .milliseconds(40))
            #expect(door.door.takenAt <= .now - .milliseconds(40))
            let pid = try await bench.processID()
            bench.run.cancel()
            await bench.run.value
            #expect(!exists(pid))
            #expect(
                FakeModule.notes(in: bench.folder).sorted()
                    == ["end of input", "stop gate", "stop wall"])
            #expect(bench.reports.downs.isEmpty)
        }
    }

    @Test(
        "Readings that a module sends by itself are reported, those of a foreign controller are not"
    )
    func notifications() async throws {
        let changes = #"""
            def doors(params):
                notify("doors", {"controller": "other", "doors": [{"locker": 9, "door": "open"}]})
                notify("doors", {"controller": "wall", "doors": [{"locker": 1, "door": "ajar"}]})
                notify("doors", {"controller": "wall", "doors": [{"locker": 2, "door": "open", "ageMs": 5}]})
                notify("unheard-of", {})
                return {"doors": []}
            """#
        try await Bench.with(changes) { bench in
            let wall = try await bench.reports.readyController()
            #expect(try await wall.readDoors().isEmpty)
            try await eventually("the reading arrives") { !bench.reports.doors.isEmpty }
            #expect(bench.reports.doors.map(\.locker) == [2])
            #expect(bench.reports.doors.first?.door.value == .open)
        }
    }

    @Test("A module that is killed is started again and serves")
    func restarted() async throws {
        try await Bench.with { bench in
            let first = try await bench.reports.readyController()
            let pid = try await bench.processID()
            kill(pid, SIGKILL)
            try await eventually("it is ready again") { bench.reports.readyCount == 2 }
            #expect(bench.reports.downs == ["module fake was ended by signal 9 (SIGKILL)"])
            let second = try await bench.reports.readyController()
            _ = try await second.open(OpenCommand(locker: 1, pulse: .milliseconds(10)))
            let error = await thrown { () throws(LockerError) in try await first.readDoors() }
            #expect(error?.code == .linkDown && error?.fired == .no && error?.sent == .no)
            guard case .ready(_, let restarts)? = bench.reports.list.last else {
                Issue.record("want ready as the last report")
                return
            }
            #expect(restarts == 1)
        }
    }

    @Test("A restart on request stops the controllers first and takes no pause")
    func restartOnRequest() async throws {
        try await Bench.with { bench in
            _ = try await bench.reports.readyController()
            let pid = try await bench.processID()
            await bench.host.restart(link: "yard")
            #expect(!exists(pid))
            #expect(FakeModule.notes(in: bench.folder) == ["stop wall", "end of input"])
            try await eventually("it is ready again") { bench.reports.readyCount == 2 }
            #expect(bench.reports.downs == ["module fake is being restarted on request"])
        }
    }

    @Test("A restart of a link that does not run does nothing")
    func restartOfNothing() async {
        await ModuleHost(daemonVersion: "0", logger: quietLogger).restart(link: "nowhere")
    }

    @Test("A controller that cannot start now does not keep the module from being ready")
    func startNotNow() async throws {
        let changes = #"""
            def start(params):
                refuse("LINK_DOWN", "no such device /dev/ttyUSB7")
            """#
        try await Bench.with(changes) { bench in
            _ = try await bench.reports.readyController()
            #expect(bench.reports.downs.isEmpty)
        }
    }

    @Test(
        "An error keeps its code and what it says about the coil; the worst is assumed where it says nothing"
    )
    func errors() async throws {
        let changes = #"""
            def open_(params):
                if params["locker"] == 1:
                    refuse("OUTPUT_STUCK", "relay 1 stays on", "yes", "yes")
                elif params["locker"] == 2:
                    send({"jsonrpc": "2.0", "id": current, "error": {"code": -32000, "message": "hm"}})
                elif params["locker"] == 3:
                    refuse("STOPPING", "a code of the core's own", "no", "no")
                else:
                    return {"evidence": 7}
            """#
        try await Bench.with(changes) { bench in
            let wall = try await bench.reports.readyController()
            func open(_ locker: Int) async -> LockerError? {
                await thrown { () throws(LockerError) in
                    try await wall.open(OpenCommand(locker: locker, pulse: .milliseconds(10)))
                }
            }
            #expect(
                await open(1)
                    == LockerError(.outputStuck, "relay 1 stays on", fired: .yes, sent: .yes))
            #expect(await open(2) == LockerError(.internal, "hm", fired: .unknown, sent: .maybe))
            #expect(await open(3)?.code == .internal)
            let wrong = await open(4)
            #expect(wrong?.code == .internal && wrong?.fired == .unknown && wrong?.sent == .maybe)
        }
    }

    @Test("A cancelled open asks the module to cancel and returns what the module says")
    func cancelled() async throws {
        let changes = #"""
            held = None
            def open_(params):
                global held
                held = current
                seen(1)
            def cancel(params):
                global current
                answer(current, {})
                assert params["id"] == held
                current = held
                refuse("CANCELLED", "let go in time")
            """#
        try await Bench.with(changes) { bench in
            let wall = try await bench.reports.readyController()
            let open = Task {
                await thrown { () throws(LockerError) in
                    try await wall.open(OpenCommand(locker: 1, pulse: .milliseconds(10)))
                }
            }
            try await eventually("the open reached the module") { !bench.reports.doors.isEmpty }
            open.cancel()
            #expect(await open.value == LockerError(.cancelled, "let go in time"))
            #expect(bench.reports.downs.isEmpty)
        }
    }

    @Test("Calls go out one at a time, and one cancelled in the queue never does")
    func oneAtATime() async throws {
        let changes = #"""
            busy = None
            def open_(params):
                global busy
                busy = current
                seen(params["locker"])
            def cancel(params):
                answer(busy, {"evidence": "none", "busMs": 0})
                return {}
            """#
        try await Bench.with(changes) { bench in
            let wall = try await bench.reports.readyController()
            func open(_ locker: Int) -> Task<LockerError?, Never> {
                Task {
                    await thrown { () throws(LockerError) in
                        try await wall.open(OpenCommand(locker: locker, pulse: .milliseconds(10)))
                    }
                }
            }
            let first = open(1)
            try await eventually("the first is out") { bench.reports.doors.count == 1 }
            let second = open(2)
            second.cancel()
            #expect(await second.value?.code == .cancelled)
            let third = open(3)
            first.cancel()
            #expect(await first.value == nil)
            try await eventually("the third is out") { bench.reports.doors.count == 2 }
            third.cancel()
            #expect(await third.value == nil)
            #expect(bench.reports.doors.map(\.locker) == [1, 3])
        }
    }

    @Test("The queue of calls has a limit")
    func queueLimit() async throws {
        let changes = #"""
            def doors(params):
                seen(1)
            """#
        try await Bench.with(changes) { bench in
            let wall = try await bench.reports.readyController()
            let calls = (0..<(ModuleLimits.waitingCalls + 2)).map { _ in
                Task { await thrown { () throws(LockerError) in try await wall.readDoors() } }
            }
            var refused: [LockerError] = []
            try await eventually("one call is refused") {
                for call in calls where refused.isEmpty {
                    if let error = await firstOf(call, within: .milliseconds(20)) {
                        refused.append(error)
                    }
                }
                return !refused.isEmpty
            }
            #expect(refused.first?.code == .busy)
            kill(try await bench.processID(), SIGKILL)
            var codes: [LockerError.Code: Int] = [:]
            for call in calls {
                if let code = await call.value?.code { codes[code, default: 0] += 1 }
            }
            #expect(codes == [.busy: 1, .linkDown: ModuleLimits.waitingCalls + 1])
        }
    }

    private func firstOf(
        _ call: Task<LockerError?, Never>, within limit: Duration
    ) async -> LockerError? {
        let answer = Answer()
        Task { await answer.set(call.value) }
        try? await Task.sleep(for: limit)
        return await answer.value
    }

    private actor Answer {
        var value: LockerError?
        func set(_ value: LockerError?) { self.value = value }
    }
}
