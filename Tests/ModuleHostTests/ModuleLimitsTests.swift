import Foundation
import LockerCore
import LockerKit
import LockerKitTesting
import Logging
import ModuleHost
import SiteModel
import TestSupport
import Testing

@Suite(
    "A module that sends too much",
    .enabled(if: FakeModule.whyNot == nil, "\(FakeModule.whyNot ?? "")"))
struct ModuleLimitsTests {
    @Test(
        "floods standard error and the log: its calls are answered all the same, and memory stays bounded"
    )
    func flood() async throws {
        let changes = #"""
            def doors(params):
                for _ in range(64):
                    sys.stderr.write("x" * 1000000)
                for number in range(5000):
                    notify("log", {"level": "info", "message": "flood"})
                return {"doors": []}
            """#
        let recorder = LogRecorder()
        // On a clock that stands still the deadline does not come, however slow this computer is.
        try await Bench.with(changes, clock: ManualClock(), log: recorder.logger) { bench in
            let wall = try await bench.reports.readyController()
            let before = try residentKilobytes()
            _ = try await wall.readDoors()
            _ = try await wall.open(OpenCommand(locker: 1, pulse: .milliseconds(10)))
            #expect(try residentKilobytes() - before < 48 * 1024 * Checkout.memoryFactor)
            #expect(recorder.lines.filter { $0.level == .info }.count <= ModuleLimits.logBurst + 1)
            #expect(recorder.lines.allSatisfy { $0.message.utf8.count < 2000 })
        }
    }

    @Test("sends more readings than are taken: the oldest are let go")
    func doorReports() async throws {
        let count = ModuleLimits.heldDoorReports + 100
        let changes =
            "def open_(params):\n    for number in range(\(count)): seen(number)\n"
            + "    return {\"evidence\": \"none\"}\n"
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder, changes)
            let (gate, opener) = AsyncStream.makeStream(of: Void.self)
            let reports = Reports()
            let host = ModuleHost(daemonVersion: "0", logger: quietLogger)
            let plan = LinkPlan(
                name: "yard", driver: "fake", module: module,
                controllers: [ControllerPlan(id: "wall", lockers: [LockerPlan(id: 1, number: 1)])])
            let run = Task {
                await host.run(plan) { report in
                    if case .doors = report { for await _ in gate {} }
                    reports.take(report)
                }
            }
            let wall = try await reports.readyController()
            _ = try await wall.open(OpenCommand(locker: 1, pulse: .milliseconds(10)))
            opener.finish()
            try await eventually("the newest reading arrives") {
                reports.doors.last?.locker == count - 1
            }
            #expect((1...ModuleLimits.heldDoorReports + 1).contains(reports.doors.count))
            run.cancel()
            await run.value
        }
    }

    private func residentKilobytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
            ?? 0
    }
}
