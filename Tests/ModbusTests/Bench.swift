import DriverBench
import Foundation
import JSONLines
import LockerKit
import LockerKitTesting
import Locks
import Logging
import ModbusDriver
import TestSupport
import Testing

/// A link made the way the daemon makes it: from TOML, through the shipped manifest and board profiles.
struct Bench {
    let link: LinkDescription
    let controllers: [String: any LockController]
    let log: LogRecorder

    /// - Parameters:
    ///   - toml: a link file without its `driver` line.
    ///   - boards: profiles of the site by name.
    init(
        _ toml: String, boards: [String: String] = [:],
        clock: any MonotonicClock = ContinuousClock()
    ) async throws {
        link = try await Self.load(toml, boards: boards)
        let log = LogRecorder()
        self.log = log
        controllers = try ModbusDriver.makeControllers(
            for: link, context: DriverContext(link: "bench", clock: clock, logger: log.logger))
    }

    /// One board at a TCP port, eight lockers.
    static func tcp(
        _ port: Int, board: String = "generic-coil-8", options: String = "",
        lockers: String = "", clock: any MonotonicClock = ContinuousClock()
    ) async throws -> any LockController {
        let bench = try await Bench(
            tcpText(port, board: board, options: options, lockers: lockers), clock: clock)
        return try #require(bench.controllers["board"])
    }

    static func tcpText(
        _ port: Int, board: String = "generic-coil-8", options: String = "", lockers: String = ""
    ) -> String {
        """
        [link]
        transport = "tcp"
        host = "127.0.0.1"
        port = \(port)
        \(options)
        [[controller]]
        id = "board"
        board = "\(board)"
        unit = 1
        first_id = 1
        \(lockers)
        """
    }

    /// The link as the configuration's reader understands it; throws what it objects to.
    static func load(
        _ toml: String, boards: [String: String] = [:]
    ) async throws -> LinkDescription {
        try await LinkFixture.load(toml, driver: "modbus", folder: "Modbus", boards: boards)
    }
}

/// An independent peer in Python.
final class Peer: Sendable {
    /// One line it printed.
    struct Event: Sendable {
        let kind: String
        let at: Double
        let coil: Int?
        let isOn: Bool
        let value: Int?
        let hex: String?
        let name: String?
    }

    let process: ChildProcess
    /// The port it listens at; nil on a serial line.
    let port: Int

    private convenience init(_ script: String, _ arguments: [String]) async throws {
        try await self.init(
            program: Checkout.python,
            ["-u", "\(Checkout.root)/Tests/Bench/modbus/\(script)", "--with-parent"] + arguments)
    }

    private init(program: String, _ arguments: [String]) async throws {
        process = try ChildProcess(program, arguments)
        try await process.waitForOutput("listening ")
        let where_ = process.standardOutput.split(separator: "\n").first?.split(separator: " ").last
        port = where_.flatMap { Int($0) } ?? 0
    }

    /// The pymodbus board.
    static func board(_ arguments: String..., at port: Int = 0) async throws -> Peer {
        try await Peer("board.py", ["--tcp", String(port)] + arguments)
    }

    static func serialBoard(_ device: String, _ arguments: String...) async throws -> Peer {
        try await Peer("board.py", ["--rtu", device] + arguments)
    }

    /// The peer that misbehaves.
    static func liar(_ mode: String, _ arguments: String...) async throws -> Peer {
        try await Peer("liar.py", ["--mode", mode] + arguments)
    }

    static func serialLiar(
        _ device: String, _ mode: String, _ arguments: String...
    ) async throws -> Peer {
        try await Peer("liar.py", ["--rtu", device, "--mode", mode] + arguments)
    }

    /// A board on a wire that keeps the pace of its line.
    static func wire(_ arguments: [String]) async throws -> Peer {
        try await Peer("../wire/wireboard.py", ["--family", "modbus"] + arguments)
    }

    /// The peer that knows a vector's bytes and nothing else.
    static func replay(_ arguments: [String]) async throws -> Peer {
        try await Peer("replay.py", arguments)
    }

    /// A board that libmodbus serves, compiled into `folder`.
    static func libmodbus(_ folder: String, _ arguments: String...) async throws -> Peer {
        let program = "\(folder)/libmodbus_server"
        let compile = try ChildProcess(
            "/bin/sh",
            [
                "-c",
                #"exec "$1" -std=gnu11 -Werror -Wall -o "$2" "$3" $(pkg-config --cflags --libs libmodbus)"#,
                "sh", Checkout.compiler ?? "cc", program,
                "\(Checkout.root)/Tests/Bench/modbus/libmodbus_server.c",
            ])
        guard try await compile.exitStatus(within: .seconds(60)) == 0 else {
            throw Timeout(description: compile.standardError)
        }
        return try await Peer(program: program, arguments)
    }

    /// What it has printed so far.
    private var printed: [Event] {
        process.standardOutput.split(separator: "\n").dropFirst().compactMap { line in
            guard let json = try? JSONReader.parse(String(line)) else { return nil }
            return Event(
                kind: json["event"]?.stringValue ?? "", at: json["at"]?.doubleValue ?? 0,
                coil: json["coil"]?.intValue ?? json["lock"]?.intValue,
                isOn: json["on"]?.boolValue ?? false,
                value: json["value"]?.intValue, hex: json["hex"]?.stringValue,
                name: json["name"]?.stringValue ?? json["kind"]?.stringValue
                    ?? json["what"]?.stringValue)
        }
    }

    /// Everything that has happened to it up to now.
    var events: [Event] {
        get async throws {
            let marks = printed.filter { $0.kind == "mark" }.count
            process.signal(SIGUSR1)
            try await eventually("the peer sets its mark") {
                printed.filter { $0.kind == "mark" }.count > marks
            }
            return printed.filter { $0.kind != "mark" }
        }
    }

    /// The orders its coils were given.
    var writes: [Event] { get async throws { try await events.filter { $0.kind == "write" } } }
    var ons: [Event] { get async throws { try await writes.filter(\.isOn) } }
    var offs: [Event] { get async throws { try await writes.filter { !$0.isOn } } }

    /// The orders that the liar was given: unit and request.
    var orders: [String] {
        get async throws {
            try await events.compactMap(\.hex).map { String($0.dropFirst(18)) }
                .filter { $0.hasPrefix("01 05") }
        }
    }

    func stop() async { await process.stop() }
}

/// Runs `body` with a peer and ends the peer afterwards.
func with<Result>(
    _ peer: Peer, _ body: (Peer) async throws -> Result
) async throws -> Result {
    do {
        let result = try await body(peer)
        await peer.stop()
        return result
    } catch {
        await peer.stop()
        throw error
    }
}

extension LockController {
    /// Opens a locker with a pulse in milliseconds.
    func open(_ locker: Int, _ pulse: Int = 200) async throws(LockerError) -> OpenReport {
        try await open(OpenCommand(locker: locker, pulse: .milliseconds(pulse)))
    }

    func doors() async throws(LockerError) -> [DoorState] {
        try await readDoors().map(\.door.value)
    }
}

/// The coils of a board as another client of it sees them, over a connection of its own.
final class CoilWatch: Sendable {
    private let port: Int

    init(port: Int) {
        self.port = port
    }

    /// Numbers of the lockers whose coil is on; empty while the board is away.
    func energised() -> Set<Int> {
        let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(handle) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(handle, $0, size) == 0 }
        }
        let request: [UInt8] = [0, 9, 0, 0, 0, 6, 1, 1, 0, 0, 0, 8]
        guard isConnected, send(handle, request, request.count, Int32(MSG_NOSIGNAL)) > 0
        else { return [] }
        var reply = [UInt8](repeating: 0, count: 10)
        guard recv(handle, &reply, 10, Int32(MSG_WAITALL)) == 10 else { return [] }
        return Set((0..<8).filter { reply[9] >> $0 & 1 == 1 }.map { $0 + 1 })
    }
}
