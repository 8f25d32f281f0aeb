import DriverBench
import Foundation
import Glibc
import JSONLines
import LockerKit
import LockerKitTesting
import SerialBoardDriver
import TestSupport
import Testing

/// A link made the way the daemon makes it: from TOML, through the shipped manifest and board profiles.
struct Bench {
    let link: LinkDescription
    let controllers: [String: any LockController]
    let log: LogRecorder

    init(
        _ toml: String, boards: [String: String] = [:],
        clock: any MonotonicClock = ContinuousClock()
    ) async throws {
        link = try await Self.load(toml, boards: boards)
        let log = LogRecorder()
        self.log = log
        controllers = try SerialBoardDriver.makeControllers(
            for: link, context: DriverContext(link: "bench", clock: clock, logger: log.logger))
    }

    var board: any LockController {
        get throws { try #require(controllers["board"]) }
    }

    static func load(
        _ toml: String, boards: [String: String] = [:]
    ) async throws -> LinkDescription {
        try await LinkFixture.load(
            toml, driver: "serial-board", folder: "SerialBoard", boards: boards)
    }
}

/// A family with the shipped profile that stands for it, and how its boards are simulated.
struct Family: Sendable, CustomTestStringConvertible {
    let word: String
    let profile: String
    let address: Int
    let lockers: Int
    let baud: Int
    /// Keys of the controller beside its address.
    var controller = ""
    /// Options of the simulator beside family, board and rate.
    var arguments: [String] = []

    var testDescription: String { word }

    static let kerong = Family(
        word: "kr-cu16", profile: "kerong-kr-cu16", address: 0, lockers: 16, baud: 19_200)
    static let hex = Family(
        word: "8a80", profile: "hex-8a80", address: 1, lockers: 24, baud: 9600,
        controller: "open_level = 0")
    static let winnsen = Family(
        word: "winnsen", profile: "winnsen-16", address: 1, lockers: 16, baud: 9600)
    static let wkly = Family(
        word: "wkly", profile: "wkly-24", address: 1, lockers: 24, baud: 9600)
    static let all = [kerong, hex, winnsen, wkly]

    func toml(_ line: String, options: String = "", lockers: String = "") -> String {
        """
        [link]
        \(line)
        \(options)
        [[controller]]
        id = "board"
        board = "\(profile)"
        address = \(address)
        first_id = 1
        \(controller)
        \(lockers)
        """
    }

    /// Runs `body` with a driver on a line to a simulated board.
    func run(
        _ arguments: [String] = [], options: String = "", lockers: String = "",
        boards: [String: String] = [:], overTCP: Bool = false,
        _ body: (any LockController, WireBoard, Bench) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let device = "\(folder)/board"
            let peer = try await WireBoard(
                ["--family", word, "--boards", "\(address)", "--lockers", "\(self.lockers)"]
                    + ["--baud", "\(baud)", "--close-after", "0"]
                    + (overTCP ? ["--tcp", "0"] : ["--pty", device])
                    + self.arguments + arguments)
            let line =
                overTCP
                ? "transport = \"tcp\"\nhost = \"127.0.0.1\"\nport = \(peer.place)"
                : "transport = \"serial\"\ndevice = \"\(device)\""
            do {
                let bench = try await Bench(
                    toml(line, options: options, lockers: lockers), boards: boards)
                try await body(bench.board, peer, bench)
            } catch {
                await peer.process.stop()
                throw error
            }
            await peer.process.stop()
        }
    }
}

/// The simulator of boards, which shares no code with the driver.
final class WireBoard: Sendable {
    struct Event: Sendable {
        let kind: String
        let at: Double
        let hex: String
        let lock: Int?
        let text: String
    }

    let process: ChildProcess
    /// Where it serves: a path, or a port.
    let place: String

    init(_ arguments: [String]) async throws {
        process = try ChildProcess(
            Checkout.python,
            ["-u", "\(Checkout.root)/Tests/Bench/wire/wireboard.py", "--with-parent"] + arguments)
        try await process.waitForOutput("listening ")
        let first = process.standardOutput.split(separator: "\n").first
        place = String(first?.split(separator: " ").last ?? "")
    }

    /// What it has printed so far.
    private var printed: [Event] {
        process.standardOutput.split(separator: "\n").dropFirst().compactMap { line in
            guard let json = try? JSONReader.parse(String(line)) else { return nil }
            return Event(
                kind: json["event"]?.stringValue ?? "", at: json["at"]?.doubleValue ?? 0,
                hex: json["hex"]?.stringValue ?? "", lock: json["lock"]?.intValue,
                text: json["what"]?.stringValue ?? json["kind"]?.stringValue ?? "")
        }
    }

    /// Everything that has happened to it up to now. Fails where the driver did what no driver may do.
    var events: [Event] {
        get async throws {
            let marks = printed.filter { $0.kind == "mark" }.count
            process.signal(SIGUSR1)
            try await eventually("the board sets its mark") {
                printed.filter { $0.kind == "mark" }.count > marks
            }
            let events = printed.filter { $0.kind != "mark" }
            let violations = events.filter { $0.kind == "violation" }.map(\.text)
            #expect(violations.isEmpty)
            return events
        }
    }

    /// The locks it has fired.
    var fired: [Int] {
        get async throws { try await events.filter { $0.kind == "fired" }.compactMap(\.lock) }
    }

    /// How many orders it was given.
    var orders: Int {
        get async throws {
            try await events.filter { $0.kind == "request" && $0.text == "open" }.count
        }
    }
}

extension LockController {
    /// Opens a locker with a pulse in milliseconds.
    func open(_ locker: Int, _ pulse: Int = 500) async throws(LockerError) -> OpenReport {
        try await open(OpenCommand(locker: locker, pulse: .milliseconds(pulse)))
    }

    /// The doors that read open, after as many calls as it takes to read them all.
    func openDoors(of count: Int) async throws -> [Int] {
        var doors: [Int: DoorState] = [:]
        for _ in 0..<8 where doors.count < count {
            for reading in try await readDoors() { doors[reading.locker] = reading.door.value }
        }
        #expect(doors.count == count)
        return doors.filter { $0.value == .open }.keys.sorted()
    }
}
