import Foundation
import JSONLines
import LockerCore
import LockerKit
import Locks
import Logging
import ModuleHost
import SiteModel
import TestSupport

/// A module written in Python with nothing but its standard library: a peer that shares no code with the host.
enum FakeModule {
    /// Nil when there is a Python, otherwise why the test cannot run. In CI that is a failure.
    static let whyNot: String? = {
        let places = ["/usr/local/bin/python3", "/usr/bin/python3", "/bin/python3"]
        let isThere = places.contains { FileManager.default.isExecutableFile(atPath: $0) }
        return isThere || Checkout.isCI ? nil : "no python3 in the module's fixed PATH"
    }()

    private static let prelude = #"""
        #!/usr/bin/env python3
        import json, os, signal, sys, time
        HERE = os.path.dirname(os.path.abspath(__file__))
        current = None
        def write(text):
            sys.stdout.write(text)
            sys.stdout.flush()
        def send(message):
            write(json.dumps(message) + "\n")
        def answer(number, result):
            send({"jsonrpc": "2.0", "id": number, "result": result})
        def refuse(code, message, fired="no", sent="no"):
            send({"jsonrpc": "2.0", "id": current, "error": {"code": -32000, "message": message,
                  "data": {"code": code, "fired": fired, "sent": sent}}})
        def notify(method, params):
            send({"jsonrpc": "2.0", "method": method, "params": params})
        def seen(what):
            notify("doors", {"controller": "wall", "doors": [{"locker": what, "door": "open", "ageMs": 0}]})
        def note(text):
            with open(HERE + "/notes", "a") as notes:
                notes.write(text + "\n")
        def complain(text):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        def hello(params):
            return {"protocol": {"major": 1, "minor": 0}, "module": "fake", "version": "0.1"}
        def configure(params):
            if "site" in params:
                return {}
            return {"controllers": [{"id": c["id"], "capabilities": {"pulseTiming": "board",
                    "evidence": "echo", "maximumTogether": 2, "polarityKnown": True,
                    "doorSensors": True}} for c in params["controllers"]]}
        def start(params):
            return {}
        def open_(params):
            return {"evidence": "echo", "doorBefore": "closed", "doorAfter": "open", "busMs": 1.5,
                    "pulseMs": params["pulseMs"]}
        def doors(params):
            return {"doors": [{"locker": 1, "door": "closed", "ageMs": 40}]}
        def stop(params):
            note("stop " + params["controller"])
            return {}
        def cancel(params):
            return {}
        def deliver(params):
            note(json.dumps(params["beat"]))
            return {}
        def at_end():
            note("end of input")

        """#

    private static let epilogue = #"""

        handlers = {"hello": hello, "configure": configure, "start": start, "open": open_,
                    "doors": doors, "stop": stop, "cancel": cancel, "deliver": deliver,
                    "ping": lambda params: {}}
        for line in sys.stdin:
            message = json.loads(line)
            current = message["id"]
            result = handlers[message["method"]](message["params"])
            if result is not None:
                answer(message["id"], result)
        at_end()
        """#

    /// Writes `modules/fake` below `folder`; `changes` redefine what the well-behaved module does.
    static func install(
        in folder: String, kind: ModulePlan.Kind = .driver, _ changes: String = ""
    ) throws -> ModulePlan {
        let home = "\(folder)/modules/fake"
        try write("name = \"fake\"\n", to: "\(home)/module.toml")
        try write(prelude + changes + epilogue, to: "\(home)/fake-module", mode: 0o755)
        for path in ["\(folder)/modules", home] {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        }
        return ModulePlan(
            name: "fake", kind: kind, directory: home, executable: "fake-module", protocolMajor: 1)
    }

    /// What the module wrote down with `note`.
    static func notes(in folder: String) -> [String] {
        let text = try? String(contentsOfFile: "\(folder)/modules/fake/notes", encoding: .utf8)
        return text?.split(separator: "\n").map(String.init) ?? []
    }
}

/// Collects what the host reports about a link.
final class Reports: Sendable {
    private let all = Mutex<[LinkReport]>([])

    func take(_ report: LinkReport) { all.withLock { $0.append(report) } }

    var list: [LinkReport] { all.withLock { $0 } }

    var readyCount: Int {
        list.filter { if case .ready = $0 { true } else { false } }.count
    }

    var downs: [String] {
        list.compactMap { if case .down(let reason, _) = $0 { reason } else { nil } }
    }

    var isDown: Bool { if case .down? = list.last { true } else { false } }

    var quarantined: [String] {
        list.compactMap { if case .quarantined(let reason, _) = $0 { reason } else { nil } }
    }

    var doors: [DoorReading] {
        list.flatMap { report -> [DoorReading] in
            if case .doors(_, let doors) = report { doors } else { [] }
        }
    }

    var controllers: [String: any LockController] {
        for report in list.reversed() {
            if case .ready(let controllers, _) = report { return controllers }
        }
        return [:]
    }

    func readyController(_ id: String = "wall") async throws -> any LockController {
        try await eventually("the link is ready; reports: \(list)") { readyCount > 0 }
        guard let controller = controllers[id] else { throw Timeout(description: "no \(id)") }
        return controller
    }
}

/// A link named `yard` with a fake module and a host that runs it.
struct Bench: Sendable {
    let host: ModuleHost
    let reports: Reports
    let folder: String
    let run: Task<Void, Never>

    func processID() async throws -> Int32 {
        try await eventually("a process runs") { host.processID(ofLink: "yard") != nil }
        return host.processID(ofLink: "yard") ?? 0
    }

    /// Runs `body` against a host of a module that is changed by `changes`, and ends it in order.
    static func with(
        _ changes: String = "", controllers: [String] = ["wall"],
        clock: any MonotonicClock = ContinuousClock(), log: Logger = quietLogger,
        _ body: (Bench) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let module = try FakeModule.install(in: folder, changes)
            let plan = LinkPlan(
                name: "yard", driver: "fake", module: module,
                controllers: controllers.map {
                    ControllerPlan(id: $0, lockers: [LockerPlan(id: 101, number: 1)])
                })
            let host = ModuleHost(daemonVersion: "0.1.0", logger: log, clock: clock)
            let reports = Reports()
            let run = Task { await host.run(plan) { reports.take($0) } }
            let bench = Bench(host: host, reports: reports, folder: folder, run: run)
            let outcome: Result<Void, any Error>
            do {
                try await body(bench)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            run.cancel()
            if let manual = clock as? any TurnableClock { manual.turnUntilDone(run) }
            await run.value
            try outcome.get()
        }
    }
}

/// A clock that the end of a test turns on, so that waits for a stubborn module end.
protocol TurnableClock: Sendable {
    func advance(by duration: Duration)
}

extension TurnableClock {
    func turnUntilDone(_ run: Task<Void, Never>) {
        let turning = Task {
            while !Task.isCancelled {
                advance(by: .milliseconds(100))
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
        Task {
            await run.value
            turning.cancel()
        }
    }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Whether a process still exists, as far as this user may know.
func exists(_ pid: Int32) -> Bool { kill(pid, 0) == 0 }

func thrown<Value>(_ body: () async throws(LockerError) -> Value) async -> LockerError? {
    do throws(LockerError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}
