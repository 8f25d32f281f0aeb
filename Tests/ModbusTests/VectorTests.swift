import DriverBench
import Foundation
import JSONLines
import LockerKit
import TestSupport
import Testing

@testable import ModbusDriver

/// The exact bytes that a shipped board profile stands for, from `vectors.json`. Their checksums were made by pymodbus.
struct Vector: Sendable, CustomTestStringConvertible {
    struct Exchange: Sendable {
        let request: [UInt8]
        let reply: [UInt8]
    }

    let board: String
    let isTCP: Bool
    let unit: Int
    let lockers: Int
    /// The locker that is opened, and its pulse in milliseconds.
    let locker: Int
    let pulse: Int
    let survey: Exchange?
    let status: Exchange
    let openDoors: [Int]
    let open: Exchange
    let release: Exchange?
    let refusal: [UInt8]
    let code: LockerError.Code
    let exception: Int

    var testDescription: String { board }

    static let all: [Vector] = {
        let text = try? String(
            contentsOfFile: "\(Checkout.root)/Tests/Bench/modbus/vectors.json", encoding: .utf8)
        let rows = text.flatMap { try? JSONReader.parse($0).arrayValue } ?? []
        return rows.compactMap(Vector.init)
    }()

    private init?(_ json: JSON) {
        guard let board = json["board"]?.stringValue,
            let transport = json["transport"]?.stringValue, let unit = json["unit"]?.intValue,
            let lockers = json["lockers"]?.intValue, let locker = json["locker"]?.intValue,
            let pulse = json["pulseMs"]?.intValue, let status = Exchange(json["status"]),
            let open = Exchange(json["open"]), let fault = json["fault"],
            let refusal = fault["reply"]?.stringValue,
            let code = fault["code"]?.stringValue.flatMap(LockerError.Code.init(rawValue:)),
            let exception = fault["exception"]?.intValue
        else { return nil }
        self.board = board
        isTCP = transport == "tcp"
        (self.unit, self.lockers, self.locker, self.pulse) = (unit, lockers, locker, pulse)
        survey = Exchange(json["survey"])
        self.status = status
        openDoors = json["openDoors"]?.arrayValue?.compactMap(\.intValue) ?? []
        self.open = open
        release = Exchange(json["release"])
        self.refusal = bytes(of: refusal)
        self.code = code
        self.exception = exception
    }

    /// A frame without what the transport adds.
    func content(_ frame: [UInt8]) -> [UInt8] {
        isTCP ? Array(frame.dropFirst(6)) : Array(frame.dropLast(2))
    }

    /// A link file's text with this board at the end of `device`, or at `port`.
    func text(device: String = "/dev/none", port: Int = 502) -> String {
        """
        [link]
        \(isTCP ? "transport = \"tcp\"\nhost = \"127.0.0.1\"\nport = \(port)" : "transport = \"rtu\"\ndevice = \"\(device)\"")
        [[controller]]
        id = "board"
        board = "\(board)"
        unit = \(unit)
        first_id = 1
        """
    }
}

extension Vector.Exchange {
    fileprivate init?(_ json: JSON?) {
        guard let request = json?["request"]?.stringValue, let reply = json?["reply"]?.stringValue
        else { return nil }
        self.request = bytes(of: request)
        self.reply = bytes(of: reply)
    }
}

private func bytes(of text: String) -> [UInt8] {
    text.split(separator: " ").compactMap { UInt8($0, radix: 16) }
}

@Suite struct `Board profiles that ship` {
    @Test func `have one vector each, and no vector is about another`() throws {
        let files = try FileManager.default.contentsOfDirectory(
            atPath: "\(Checkout.root)/Plugins/Modbus/boards")
        #expect(files.sorted() == Vector.all.map { "\($0.board).toml" }.sorted())
    }

    @Test(arguments: Vector.all)
    func `send these bytes and know these answers`(vector: Vector) async throws {
        let link = try await Bench.load(vector.text())
        let plan = try BoardPlan(link.controllers[0])
        #expect(plan.wires.count == vector.lockers)
        #expect(plan.profile.longestPulse <= .seconds(1))
        let wires = try #require(plan.wires[vector.locker])
        let order: CoilOrder
        if let flash = plan.profile.flash {
            let shot = try #require(flash.shot(for: .milliseconds(vector.pulse)))
            order = plan.order(try #require(wires.flash), shot.value)
            #expect(shot.length == .milliseconds(vector.pulse))
        } else {
            order = plan.order(wires.coil, plan.profile.onValue)
            let off = plan.order(wires.coil, plan.profile.offValue)
            #expect(off.bytes == vector.release.map { vector.content($0.request) })
        }
        #expect(order.bytes == vector.content(vector.open.request))
        let framing = vector.isTCP ? Framing.tcp : .rtu
        let echo = plan.profile.echo
        #expect(order.verdict(on: vector.open.reply, framing, echo) == .echoed)
        #expect(
            order.verdict(on: vector.refusal, framing, echo)
                == .exception(UInt8(vector.exception)))
        #expect((plan.coils == nil) == (vector.survey == nil))
        #expect((plan.profile.flash == nil) == (vector.release != nil))
    }

    @Test func `release nothing unasked where off is what opens`() async throws {
        for vector in Vector.all {
            let plan = try BoardPlan(try await Bench.load(vector.text()).controllers[0])
            #expect(plan.profile.isInverted == vector.board.contains("inverted"))
            if plan.profile.isInverted {
                #expect(!plan.profile.offIsSafe && plan.coils == nil)
                #expect(!plan.capabilities.polarityKnown)
            }
        }
    }
}

/// The driver against the vectors' bytes on a real line, through libmodbus.
@Suite(.serialized, .enabled(if: Line.whyNot == nil || Checkout.isCI, "\(Line.whyNot ?? "")"))
struct `On the wire, a shipped profile` {
    private func board(
        _ vector: Vector, _ arguments: [String] = [],
        _ body: (any LockController, Peer) async throws -> Void
    ) async throws {
        let words = ["--board", vector.board] + arguments
        if vector.isTCP {
            try await with(.replay(["--tcp", "0"] + words)) { peer in
                let bench = try await Bench(vector.text(port: peer.port))
                try await body(try #require(bench.controllers["board"]), peer)
            }
            return
        }
        try await Line.run { line in
            try await with(.replay(["--rtu", line.far] + words)) { peer in
                let bench = try await Bench(vector.text(device: line.near))
                try await body(try #require(bench.controllers["board"]), peer)
            }
        }
    }

    @Test(arguments: Vector.all)
    func `opens a lock and reads doors with its vector's bytes and no others`(
        vector: Vector
    ) async throws {
        try await board(vector) { board, peer in
            try await board.start()
            let doors = try await board.readDoors()
            #expect(doors.filter { $0.door.value == .open }.map(\.locker) == vector.openDoors)
            #expect(
                doors.filter { $0.door.value == .closed }.count
                    == max(0, doors.count - vector.openDoors.count))
            let report = try await board.open(vector.locker, vector.pulse)
            #expect(report.evidence == .echo)
            try await board.stop()
            let requests = try await peer.events
            #expect(requests.allSatisfy { $0.name != nil }, "\(requests.filter { $0.name == nil })")
            let opens = requests.filter { $0.name == "open" || $0.name == "release" }
            #expect(
                opens.compactMap(\.name)
                    == (vector.release == nil ? ["open"] : ["open", "release"]))
        }
    }

    @Test(arguments: Vector.all)
    func `names the refusal that its vector has, and never asks again`(
        vector: Vector
    ) async throws {
        try await board(vector, ["--fault"]) { board, peer in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(vector.locker, vector.pulse)
            }
            #expect(error.code == vector.code, "\(error)")
            // Exception 4 is a failure while acting.
            #expect(error.fired == (vector.exception == 4 ? .unknown : .no))
            #expect(error.message.contains("exception \(vector.exception)"), "\(error)")
            let requests = try await peer.events
            #expect(requests.allSatisfy { $0.name != nil })
            #expect(requests.filter { $0.name == "open" }.count == 1)
        }
    }
}
