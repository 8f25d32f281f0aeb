import Foundation
import JSONLines
import LockerCore
import LockerKit
import LockerKitTesting
import Locks
import ModuleHost
import SiteModel
import TestSupport
import Testing

@Suite(
    "The host of an uplink", .enabled(if: FakeModule.whyNot == nil, "\(FakeModule.whyNot ?? "")"))
struct UplinkHostTests {
    private let reports = Mutex<[UplinkView]>([])

    private var states: [UplinkState] {
        reports.withLock { reports in
            reports.map(\.state).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
        }
    }

    private func with(
        _ changes: String = "", clock: any MonotonicClock = ContinuousClock(),
        _ body: (UplinkHost, String) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder, kind: .uplink, changes)
            let host = UplinkHost(
                UplinkPlan(name: "monitor", module: module, options: ["url": "http://[::1]:9/"]),
                site: "depot-17", daemonVersion: "0.1.0", logger: quietLogger, clock: clock,
                wallClock: { WallTime(milliseconds: 5) },
                report: { view in reports.withLock { $0.append(view) } })
            let run = Task { await host.run() }
            let outcome: Result<Void, any Error>
            do {
                try await body(host, folder)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            run.cancel()
            await run.value
            #expect(host.processID == nil)
            #expect(host.view.state == .faulted)
            #expect(host.view.reason == "monitor was stopped")
            #expect(reports.withLock { $0.last } == host.view)
            try outcome.get()
        }
    }

    @Test("A beat goes to the module as it is, and its delivery is remembered")
    func delivers() async throws {
        try await with { host, folder in
            #expect(host.name == "monitor")
            try await eventually("it is ready") { host.view.state == .ready }
            #expect(host.view.lastDelivered == nil)
            try await host.deliver(#"{"site":"depot-17","seq":4}"#)
            #expect(host.view.lastDelivered != nil)
            #expect(FakeModule.notes(in: folder) == [#"{"site": "depot-17", "seq": 4}"#])
        }
    }

    @Test("What the upstream refuses is an error of the delivery, not of the module")
    func refused() async throws {
        let changes = #"""
            def deliver(params):
                refuse("REFUSED", "the upstream answered 401", "no", "yes")
            """#
        try await with(changes) { host, _ in
            try await eventually("it is ready") { host.view.state == .ready }
            let error = await thrown { () throws(LockerError) in try await host.deliver("{}") }
            #expect(error == LockerError(.refused, "the upstream answered 401", sent: .yes))
            #expect(host.view.state == .ready && host.view.lastDelivered == nil)
            #expect(host.view.reason == "the upstream answered 401")
            #expect(reports.withLock { $0.last } == host.view)
        }
    }

    @Test("A delivery that is not answered in time ends the module, and the next one serves")
    func hangs() async throws {
        let changes = #"""
            def deliver(params):
                if os.path.exists(HERE + "/mended"):
                    return {}
                with open(HERE + "/mended", "w"):
                    pass
                time.sleep(600)
            """#
        let clock = ManualClock()
        try await with(changes, clock: clock) { host, folder in
            try await eventually("it is ready") { host.view.state == .ready }
            let delivery = Task {
                await thrown { () throws(LockerError) in try await host.deliver("{}") }
            }
            try await eventually("the beat reached the module") {
                FileManager.default.fileExists(atPath: "\(folder)/modules/fake/mended")
            }
            clock.advance(by: ModuleDeadlines.deliver)
            let late = "module fake did not answer deliver within 30000 ms"
            #expect(await delivery.value == LockerError(.timedOut, late, sent: .maybe))
            await clock.waitForSleepers(1)
            clock.advance(by: ModuleDeadlines.exit)
            try await eventually("it is down") { host.view.state == .faulted }
            #expect(host.view.reason == late)
            let error = await thrown { () throws(LockerError) in try await host.deliver("{}") }
            #expect(error == LockerError(.linkDown, "uplink monitor: \(late)"))
            clock.advance(by: .seconds(1))
            try await eventually("it is ready again") { host.view.state == .ready }
            #expect(host.view.restarts == 1)
            #expect(host.view.reason == late)
            try await host.deliver("{}")
            #expect(states == [.ready, .faulted, .starting, .ready])
        }
    }

    @Test("What is not JSON is not sent")
    func notJSON() async throws {
        try await with { host, _ in
            try await eventually("it is ready") { host.view.state == .ready }
            let error = await thrown { () throws(LockerError) in try await host.deliver("{") }
            #expect(error?.code == .invalidRequest)
        }
    }

    @Test(
        "A delivery that is taken ends the reason of the one before, and every change is reported")
    func recovers() async throws {
        let changes = #"""
            def deliver(params):
                if params["beat"]["seq"] == 1:
                    return refuse("LINK_DOWN", "cannot connect", "no", "no")
                return {}
            """#
        try await with(changes) { host, _ in
            try await eventually("it is ready") { host.view.state == .ready }
            _ = await thrown { () throws(LockerError) in try await host.deliver(#"{"seq":1}"#) }
            #expect(host.view.reason == "cannot connect")
            try await host.deliver(#"{"seq":2}"#)
            #expect(host.view.reason == nil && host.view.lastDelivered != nil)
            #expect(host.view.module == "fake" && host.view.since == WallTime(milliseconds: 5))
            #expect(reports.withLock { $0.map(\.reason) } == [nil, "cannot connect", nil])
        }
    }

    @Test("A delivery that is given up on purpose is no fault of the upstream")
    func givenUp() async throws {
        let changes = #"""
            held = None
            def deliver(params):
                global held
                held = current
                note("held")
            def cancel(params):
                global current
                answer(current, {})
                current = held
                refuse("CANCELLED", "the delivery was cancelled", "no", "maybe")
            """#
        try await with(changes) { host, folder in
            try await eventually("it is ready") { host.view.state == .ready }
            let delivery = Task {
                await thrown { () throws(LockerError) in try await host.deliver("{}") }
            }
            try await eventually("it is held") { FakeModule.notes(in: folder) == ["held"] }
            delivery.cancel()
            #expect(await delivery.value?.code == .cancelled)
            #expect(host.view.state == .ready && host.view.reason == nil)
        }
    }

    @Test("A module that dies too often is quarantined until a restart is asked for")
    func quarantine() async throws {
        let changes = #"""
            def configure(params):
                if os.path.exists(HERE + "/mended"):
                    return {}
                sys.exit(3)
            """#
        let clock = ManualClock()
        try await with(changes, clock: clock) { host, folder in
            try await eventually("it is left alone") {
                // Only the pauses between two lives are turned, never the deadlines of a life.
                if host.view.state == .faulted { clock.advance(by: .milliseconds(200)) }
                return host.view.state == .quarantined
            }
            #expect(host.view.reason == "module fake ended by itself with exit code 3")
            try write("", to: "\(folder)/modules/fake/mended")
            #expect(await host.restart())
            try await eventually("it is ready") { host.view.state == .ready }
        }
    }

    @Test("An uplink without a module says so")
    func withoutModule() async {
        let host = UplinkHost(
            UplinkPlan(name: "monitor"), site: "depot-17", daemonVersion: "0", logger: quietLogger,
            wallClock: { WallTime(milliseconds: 0) })
        await host.run()
        #expect(host.view.state == .faulted && host.view.module == nil)
        #expect(host.view.reason == "uplink monitor has no module")
        #expect(await !host.restart())
        let error = await thrown { () throws(LockerError) in try await host.deliver("{}") }
        #expect(error?.code == .linkDown)
    }
}
