import ControlClient
import Foundation
import JSONLines
import TestSupport

/// A site in a folder of its own with the real programs: what an installer has, in small.
struct TestSite {
    let folder: String

    var etc: String { "\(folder)/etc" }
    var socket: String { "\(folder)/control.sock" }

    static let daemonFile = """
        site = "test"
        module_dirs = ["../modules"]
        [power.main]
        at_once = 4
        gap_ms = 0

        """

    /// Lays the modules out and writes the files, each by its path below `etc`.
    init(in folder: String, _ files: [String: String], daemonFile: String = Self.daemonFile) throws
    {
        self.folder = folder
        try Checkout.stageModules(in: "\(folder)/modules")
        try write(daemonFile, to: "\(folder)/etc/lockerd.toml")
        for (path, text) in files { try write(text, to: "\(folder)/etc/\(path)") }
    }

    /// A link file of simulated lockers.
    static func simulated(
        _ id: String, firstID: Int, lockers: Int = 4, link: String = "close_after_ms = 500",
        more: String = ""
    ) -> String {
        """
        driver = "simulator"
        [link]
        \(link)
        [[controller]]
        id = "\(id)"
        lockers = \(lockers)
        first_id = \(firstID)
        poll_ms = 50
        door_wait_ms = 400
        bank = "main"
        power = "main"
        \(more)
        """
    }

    /// A link file of the board that `modbusBoard` starts.
    static func modbus(port: Int) -> String {
        """
        driver = "modbus"
        [link]
        transport = "tcp"
        host = "127.0.0.1"
        port = \(port)
        [[controller]]
        id = "board"
        board = "generic-coil-8"
        unit = 1
        lockers = 8
        first_id = 201
        poll_ms = 100
        power = "main"
        """
    }

    /// Starts the daemon and waits until it serves.
    func start(environment: [String: String] = [:]) async throws -> RunningDaemon {
        let process = try ChildProcess(
            Checkout.program("lockerd"),
            ["--config", etc, "--socket", socket, "--log-level", "info"], environment: environment)
        try await process.waitForOutput("ready\n")
        return RunningDaemon(site: self, process: process)
    }

    /// Runs lockerd to its end.
    func run(_ arguments: [String]) async throws -> (status: Int32, out: String, err: String) {
        let process = try ChildProcess(Checkout.program("lockerd"), ["--config", etc] + arguments)
        let status = try await process.exitStatus()
        return (status, process.standardOutput, process.standardError)
    }
}

/// A daemon that serves, with a client for it.
final class RunningDaemon: Sendable {
    let site: TestSite
    let process: ChildProcess

    init(site: TestSite, process: ChildProcess) {
        self.site = site
        self.process = process
    }

    func client() async throws -> ControlClient {
        try await ControlClient.connect(to: site.socket)
    }

    /// One request on a connection of its own.
    func call(_ method: String, _ params: JSON = [:]) async throws -> JSON {
        let client = try await client()
        do {
            let result = try await client.call(method, params).result
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    func open(_ locker: String) async throws -> OperationResult {
        let client = try await client()
        do {
            let result = try await client.open(OpenCommand(LockerSelector(locker)))
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    func controller(_ id: String) async throws -> JSON {
        let status = try await call("controllers")
        let all = status["controllers"]?.arrayValue ?? []
        return all.first { $0["id"]?.stringValue == id } ?? .null
    }

    func state(of controller: String) async throws -> String? {
        try await self.controller(controller)["state"]?.stringValue
    }

    /// Processes the daemon started: those whose parent it is.
    var modules: [String: Int32] {
        var found: [String: Int32] = [:]
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry),
                let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
                let end = stat.lastIndex(of: ")"),
                stat[end...].split(separator: " ").dropFirst(2).first == "\(process.pid)",
                let variables = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/environ"))
            else { continue }
            let link = String(decoding: variables, as: UTF8.self).split(separator: "\0")
                .first { $0.hasPrefix("LOCKERD_LINK=") }
            if let link { found[String(link.dropFirst("LOCKERD_LINK=".count))] = pid }
        }
        return found
    }

    /// Ends it as a service manager does and returns its exit status.
    func stop() async throws -> Int32 {
        process.signal(SIGTERM)
        return try await process.exitStatus()
    }
}

/// Whether a process is there and not a zombie.
func isAlive(_ pid: Int32) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
        let end = stat.lastIndex(of: ")")
    else { return false }
    return stat[end...].split(separator: " ").dropFirst().first != "Z"
}

/// A locker board on pymodbus, which shares no code with the driver.
func modbusBoard(port: Int, _ arguments: [String] = []) async throws -> ChildProcess {
    let board = try ChildProcess(
        Checkout.python,
        ["\(Checkout.root)/Tests/Bench/modbus/board.py", "--tcp", "\(port)"] + arguments)
    try await board.waitForOutput("listening")
    return board
}

extension OperationResult {
    /// The outcome of an `open`; nil when it ended otherwise.
    var outcome: Outcome? { results.first?.outcome }
}
