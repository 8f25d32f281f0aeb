import Foundation
import JSONLines
import LockerCore
import LockerKit
import ModuleHost
import SiteModel
import TestSupport
import Testing

/// The other end is the shipped Swift module here, so that both halves of the protocol are tried against each other.
@Suite("The shipped simulator as a module")
struct SimulatorModuleTests {
    private static let whyNot: String? =
        FileManager.default.isExecutableFile(atPath: Checkout.program("simulator-module"))
            || Checkout.isCI ? nil : "simulator-module was not built with these tests"

    private func with(
        _ options: JSONObject, _ body: (ModuleHost, Reports) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            try Checkout.stageModules(["simulator"], in: folder)
            let plan = LinkPlan(
                name: "sim", driver: "simulator",
                module: ModulePlan(
                    name: "simulator", kind: .driver, directory: "\(folder)/simulator",
                    executable: "simulator-module", protocolMajor: 1),
                options: options,
                controllers: [
                    ControllerPlan(
                        id: "wall",
                        lockers: (1...3).map { LockerPlan(id: 100 + $0, number: $0) })
                ])
            let reports = Reports()
            let host = ModuleHost(daemonVersion: "0.1.0", logger: quietLogger)
            let run = Task { await host.run(plan) { reports.take($0) } }
            let outcome: Result<Void, any Error>
            do {
                try await body(host, reports)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            let pid = host.processID(ofLink: "sim")
            run.cancel()
            await run.value
            if let pid { #expect(!exists(pid)) }
            try outcome.get()
        }
    }

    @Test(
        "opens, reports its doors and refuses a locker it does not have",
        .enabled(if: whyNot == nil, "\(whyNot ?? "")"))
    func opens() async throws {
        try await with([:]) { _, reports in
            let wall = try await reports.readyController()
            let report = try await wall.open(OpenCommand(locker: 2, pulse: .milliseconds(50)))
            #expect(report.pulse == .milliseconds(50))
            try await eventually("the door is seen open") {
                try await wall.readDoors().contains { $0.locker == 2 && $0.door.value == .open }
            }
            let error = await thrown { () throws(LockerError) in
                try await wall.open(OpenCommand(locker: 9, pulse: .milliseconds(50)))
            }
            #expect(error?.code == .unknownLocker && error?.fired == .no)
            #expect(reports.downs.isEmpty)
        }
    }

    @Test(
        "is held to a deadline in its own process, where the open takes its time",
        .enabled(if: whyNot == nil, "\(whyNot ?? "")"))
    func expires() async throws {
        try await with(["latency_ms": 400]) { _, reports in
            let wall = try await reports.readyController()
            for left in [Duration.zero, .milliseconds(100)] {
                let error = await thrown { () throws(LockerError) in
                    try await wall.open(
                        OpenCommand(
                            locker: 1, pulse: .milliseconds(50), deadline: .now + left))
                }
                #expect(error?.code == .expired && error?.fired == .no && error?.sent == .no)
            }
            let doors = try await wall.readDoors()
            #expect(doors.allSatisfy { $0.door.value == .closed })
        }
    }

    @Test(
        "dies in the middle of an open: the coil's state is unknown and the next process serves",
        .enabled(if: whyNot == nil, "\(whyNot ?? "")"))
    func crashes() async throws {
        try await with(["fault": [["kind": "crash", "after_opens": 1]]]) { _, reports in
            let wall = try await reports.readyController()
            var error: LockerError?
            for locker in 1...3 where error == nil {
                error = await thrown { () throws(LockerError) in
                    try await wall.open(OpenCommand(locker: locker, pulse: .milliseconds(50)))
                }
            }
            #expect(error?.code == .linkDown)
            #expect(error?.fired == .unknown && error?.sent == .maybe)
            try await eventually("the next process serves") { reports.readyCount == 2 }
            // A sanitizer may have made the module print something.
            let reason = reports.downs.first ?? ""
            #expect(reason.hasPrefix("module simulator was ended by signal 9 (SIGKILL)"))
        }
    }

    @Test(
        "is given options it cannot use: it says which, and serves when they are right",
        .enabled(if: whyNot == nil, "\(whyNot ?? "")"))
    func options() async throws {
        try await with(["journal": "not/absolute"]) { _, reports in
            try await eventually("it is down") { reports.isDown }
            #expect(
                reports.downs.first
                    == "module simulator refused configure: journal is not/absolute; want an absolute path"
            )
        }
    }
}
