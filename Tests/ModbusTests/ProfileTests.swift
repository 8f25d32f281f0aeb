import BusKit
import DriverBench
import Foundation
import JSONLines
import LockerKit
import Logging
import SiteConfig
import TestSupport
import Testing

@testable import ModbusDriver

@Suite struct `Board profiles` {
    private func plan(
        board: String, boards: [String: String] = [:], lockers: String = ""
    ) async throws -> BoardPlan {
        let link = try await Bench.load(
            Bench.tcpText(502, board: board, lockers: lockers), boards: boards)
        return try BoardPlan(link.controllers[0])
    }

    private func refusal(_ board: String, lockers: String = "") async throws -> String {
        try await failure { () async throws(LockerError) -> Bool in
            do {
                _ = try await plan(board: "own", boards: ["own": board], lockers: lockers)
                return true
            } catch let error as LockerError {
                throw error
            } catch {
                Issue.record(error)
                return false
            }
        }.message
    }

    @Test func `give polarity, registers and shifted addresses their meaning`() async throws {
        let board = """
            lockers = 20
            [coils]
            pulse = "host"
            first = 100
            on = 0x0100
            [doors]
            read = "holding-registers"
            first = 200
            open = 0
            """
        let plan = try await plan(
            board: "own", boards: ["own": board],
            lockers: """
                [[controller.locker]]
                number = 2
                coil = 500
                input = 3250
                sensor_inverted = true
                [[controller.locker]]
                number = 3
                sensor = false
                """)
        #expect(plan.profile.onValue == 0x0100)
        #expect(
            plan.wires[1] == BoardPlan.Wires(coil: 100, flash: nil, door: 3200, openLevel: false))
        #expect(
            plan.wires[2] == BoardPlan.Wires(coil: 500, flash: nil, door: 3250, openLevel: true))
        #expect(
            plan.wires[3] == BoardPlan.Wires(coil: 102, flash: nil, door: nil, openLevel: false))
        #expect(plan.doors == ReadRequest(function: .holdingRegisters, address: 200, count: 4))
        let values: [UInt16] = [0b1, 0, 0, 1 << 2]
        #expect(plan.door(of: 1, in: values) == .closed)
        #expect(plan.door(of: 4, in: values) == .open)
        #expect(plan.door(of: 2, in: [0, 0, 0, 1 << 2]) == .open)
        #expect(plan.door(of: 3, in: values) == nil)
        #expect(plan.door(of: 20, in: [0]) == .unknown)
        let doors = plan.doors(in: values, takenAt: .now)
        #expect(doors.map(\.locker) == [1, 2] + Array(4...20))
    }

    @Test func `without sensors leave the doors alone`() async throws {
        let plan = try await plan(
            board: "own", boards: ["own": "lockers = 2\n[coils]\npulse = \"host\"\n"])
        #expect(plan.doors == nil && !plan.capabilities.doorSensors)
    }

    @Test func `that cannot work are refused by name`() async throws {
        #expect(
            try await refusal("lockers = 2\n[coils]\npulse = \"board\"\n")
                == "board.flash.first is missing; want an integer")
        #expect(
            try await refusal("lockers = 2\n[coils]\npulse = \"host\"\non = 0\n")
                == "board.coils.on and board.coils.off are both 0")
        for keys in ["inverted = true", "on = 0\noff = 0xFF00"] {
            #expect(
                try await refusal(
                    "lockers = 2\n[coils]\npulse = \"host\"\noff_is_safe = true\n\(keys)\n")
                    == "board.coils.off_is_safe is true on an inverted board; off is never sent there unasked"
            )
        }
        let slow = "max_pulse_ms = 300\n[timing]\nresponse_ms = 301\n"
        #expect(
            try await refusal("lockers = 2\n[coils]\npulse = \"host\"\n" + slow)
                .hasPrefix("board.timing.response_ms is above board.coils.max_pulse_ms"))
        let flash = "lockers = 2\n[coils]\npulse = \"board\"\n[flash]\nfirst = 0\n"
        #expect(
            try await refusal(flash + "command = 5\nbase = 1\n")
                == "board.flash.command stands with base or max; want it alone, it has one length")
        #expect(
            try await refusal(flash + "base = 0xFFFF\nmax = 1\n")
                == "board.flash.base and board.flash.max come to 65536; want at most 65535")
        #expect(
            try await refusal(
                "lockers = 2\n[coils]\npulse = \"host\"\n[doors]\nread = \"coils\"\nper_register = 1\n"
            ) == "board.doors.per_register is 1; want 16, or 1 with registers")
        #expect(
            try await refusal("lockers = 2\n[coils]\npulse = \"host\"\nat_once = 2\n")
                .contains("board.coils.at_once is 2"))
        #expect(
            try await refusal("lockers = 2\n[coils]\npulse = \"host\"\nfirst = 65535\n")
                == "locker 2 has coil 65536; want 0-65535")
        #expect(
            try await refusal(
                "lockers = 2\n[coils]\npulse = \"board\"\n[flash]\nfirst = 65535\n")
                == "locker 2 has pulse address 65536; want 0-65535")
        #expect(
            try await refusal(
                "lockers = 2\n[coils]\npulse = \"host\"\n",
                lockers: "[[controller.locker]]\nnumber = 2\ncoil = 0\n")
                == "lockers 1 and 2 of board have one coil, 0")
        #expect(
            try await refusal(
                "lockers = 2\n[coils]\npulse = \"host\"\n[doors]\nread = \"coils\"\n",
                lockers: "[[controller.locker]]\nnumber = 2\ninput = 5000\n"
            ).contains("too far apart"))
    }

    @Test func `count a pulse in whole units within it`() {
        var flash = BoardProfile.Flash(first: 0x200, unit: .milliseconds(100), highest: 5)
        let values: [(Int, UInt16?)] = [
            (10, nil), (99, nil), (100, 1), (199, 1), (200, 2), (300, 3), (499, 4), (5000, 5),
        ]
        for (pulse, value) in values {
            let shot = flash.shot(for: .milliseconds(pulse))
            #expect(shot?.value == value)
            #expect(shot?.length == value.map { .milliseconds(100) * Int($0) })
        }
        flash.base = 0x0600
        #expect(flash.shot(for: .milliseconds(250))?.value == 0x0602)
    }

    @Test func `with a momentary order have one length`() {
        let flash = BoardProfile.Flash(
            first: 1, unit: .seconds(1), highest: 0x7FFF, command: 0x0500)
        #expect(flash.shot(for: .milliseconds(999)) == nil)
        for pulse in [1000, 2500] {
            let shot = flash.shot(for: .milliseconds(pulse))
            #expect(shot?.value == 0x0500 && shot?.length == .seconds(1))
        }
    }

    @Test func `behind registers are read back as they were written or as the profile says`()
        async throws
    {
        func coils(_ keys: String) async throws -> BoardPlan {
            let board = "lockers = 2\n[coils]\npulse = \"host\"\nwrite = \"register\"\n\(keys)"
            return try await plan(board: "own", boards: ["own": board])
        }
        let plain = try await coils("first = 10\non = 7\noff = 3\n")
        #expect(
            plain.coils == ReadRequest(function: .holdingRegisters, address: 10, count: 2))
        #expect([3, 7, 0].map { plain.mayBeOn(2, in: [3, $0]) } == [false, true, true])
        #expect(plain.mayBeOn(2, in: [3]) == nil)
        #expect(hex(plain.order(11, 7).bytes) == "01 06 00 0b 00 07")
        let told = try await coils("on = 0x0100\noff = 0x0200\nreads_off = 0\n")
        #expect([0, 1, 0x0200].map { told.mayBeOn(1, in: [$0, 0]) } == [false, true, true])
    }

}

@Suite struct `Options of any shape` {
    @Test func `are refused or understood, never a crash`() {
        var random = SeededGenerator(seed: 11)
        let keys = [
            "coils", "flash", "doors", "pulse", "first", "on", "off", "unit_ms", "max", "read",
            "open", "at_once", "max_pulse_ms", "off_is_safe", "read_back", "unit", "coil",
            "input", "write", "echo", "inverted", "reads_off", "base", "command", "per_register",
            "timing", "response_ms", "gap_ms", "network",
        ]
        func value(_ depth: Int) -> JSON {
            switch Int.random(in: 0..<9, using: &random) {
            case 0:
                .string(
                    ["host", "board", "coils", "discrete-inputs", "none", ""].randomElement(
                        using: &random) ?? "")
            case 1: .bool(.random(using: &random))
            case 2: .int(Int64.random(in: .min ... .max, using: &random))
            case 3, 4: .int(Int64.random(in: 0...70_000, using: &random))
            case 5: .int(Int64.random(in: 0...10, using: &random))
            case 6: .array([.int(1)])
            default: depth > 2 ? .null : .object(table(depth + 1))
            }
        }
        func table(_ depth: Int) -> JSONObject {
            var seen: Set<String> = []
            return JSONObject(
                (0..<Int.random(in: 0...10, using: &random)).compactMap { _ in
                    let key = keys.randomElement(using: &random) ?? ""
                    return seen.insert(key).inserted
                        ? JSONObject.Member(key: key, value: value(depth)) : nil
                })
        }
        var understood = 0
        for _ in 0..<5000 {
            var board = table(0)
            if Bool.random(using: &random) {
                var coils = table(1).members.filter { $0.key != "pulse" }
                coils.append(JSONObject.Member(key: "pulse", value: .string("host")))
                board = JSONObject(
                    board.members.filter { $0.key != "coils" }
                        + [JSONObject.Member(key: "coils", value: .object(JSONObject(coils)))])
            }
            let plan = try? BoardPlan(
                ControllerDescription(
                    id: "a", options: Options(["unit": 1]), board: Options(board),
                    lockers: (1...3).map {
                        LockerDescription(number: $0, options: Options(table(2)))
                    }))
            if let plan {
                understood += 1
                #expect(plan.wires.count == 3)
            }
        }
        #expect(understood > 0)
    }
}

@Suite struct `A profile that would be dangerous` {
    private func refusal(_ text: String) async throws -> String {
        let toml =
            "[link]\ntransport = \"rtu\"\ndevice = \"/dev/x\"\n[[controller]]\nid = \"a\"\nboard = \"mine\"\nunit = 1\nfirst_id = 1\n"
        do {
            _ = try await Bench(toml, boards: ["mine": "lockers = 8\n" + text])
        } catch {
            return "\(error)"
        }
        throw Timeout(description: "accepted: \(text)")
    }

    /// On and off differ in their value alone: the late answer to one would confirm the other.
    @Test func `is refused where the answer to an on could confirm an off`() async throws {
        let text = try await refusal("[coils]\npulse = \"host\"\necho = \"address\"")
        #expect(text.contains("board.coils.echo is \"address\""))
    }

    @Test func `is refused where it says inverted and fires the other way`() async throws {
        for values in ["", "on = 0xFF00", "on = 0\noff = 0"] {
            let text = try await refusal("[coils]\npulse = \"host\"\ninverted = true\n\(values)")
            #expect(text.contains("board.coils."), "\(text)")
        }
    }

    @Test func `is refused where a long pulse would be another command`() async throws {
        for (most, words) in [("", "is missing"), ("max = 512", "is 512")] {
            let text = try await refusal(
                "[coils]\npulse = \"board\"\n[flash]\nfirst = 0\nbase = 0x0600\nunit_ms = 10\n\(most)"
            )
            #expect(text.contains("board.flash.max \(words)"), "\(text)")
        }
    }
}

@Suite struct `Link options` {
    private func settings(_ text: String) async throws -> LinkSettings {
        let controller =
            "[[controller]]\nid = \"a\"\nboard = \"generic-coil-8\"\nunit = 1\nfirst_id = 1\n"
        return try LinkSettings(try await Bench.load("[link]\n\(text)\n\(controller)").options)
    }

    @Test func `have the defaults that the manifest promises`() async throws {
        let tcp = try await settings("transport = \"tcp\"\nhost = \"h\"")
        #expect(tcp.transport == .tcp(host: "h", port: 502) && tcp.endpoint == "h:502")
        #expect(tcp.response == .milliseconds(500) && tcp.connect == .seconds(1))
        #expect(tcp.spacing == .zero && tcp.frameGap == .zero)
        let rtu = try await settings("transport = \"rtu\"\ndevice = \"/dev/ttyUSB0\"")
        #expect(
            rtu.transport
                == .serial(
                    LinkSettings.Serial(
                        device: "/dev/ttyUSB0", baud: 9600, parity: .none, stopBits: 1,
                        direction: .auto)))
    }

    @Test(arguments: [
        (1200, 33_084), (9600, 5011), (19_200, 3006), (38_400, 2750), (115_200, 2750),
    ])
    func `leave the silence between frames that the rate asks for`(baud: Int, gap: Int) async throws
    {
        let plain = try await settings("transport = \"rtu\"\ndevice = \"/dev/x\"\nbaud = \(baud)")
        #expect(plain.frameGap == .microseconds(gap))
        let spaced = try await settings(
            "transport = \"rtu\"\ndevice = \"/dev/x\"\nbaud = \(baud)\nspacing_ms = 250")
        #expect(spaced.frameGap == plain.frameGap && spaced.spacing == .milliseconds(250))
    }

    @Test func `that make no sense are refused before anything is touched`() async throws {
        for (text, word) in [
            ("transport = \"tcp\"", "host"), ("transport = \"rtu\"", "device"),
            ("transport = \"udp\"\nhost = \"h\"", "transport"),
            ("transport = \"rtu\"\ndevice = \"/dev/x\"\nbaud = 9601", "baud"),
            ("transport = \"tcp\"\nhost = \"h\"\nbaud = 9600", "baud"),
            ("transport = \"tcp\"\nhost = \"h\"\nresponse_ms = 1001", "response_ms"),
            ("transport = \"tcp\"\nhost = \"h\"\nconnect_ms = 1001", "connect_ms"),
            ("transport = \"rtu\"\ndevice = \"ttyUSB0\"", "device"),
            ("transport = \"tcp\"\nhost = \"\"", "host"),
        ] {
            do {
                _ = try await settings(text)
                Issue.record("\(text) was accepted")
            } catch {
                #expect("\(error)".contains(word), "\(error)")
            }
        }
    }

    @Test(arguments: ["response_ms", "connect_ms"])
    func `leave an off time to get out`(key: String) throws {
        func settings(_ value: Int64) throws -> LinkSettings {
            try LinkSettings(
                Options(["transport": "tcp", "host": "h", .init(key): .int(value)]))
        }
        _ = try settings(1000)
        #expect(throws: LockerError.self) { try settings(1001) }
    }

    @Test func `with two boards of one unit are refused`() async throws {
        let link = try await Bench.load(Bench.tcpText(502))
        let twins = LinkDescription(
            name: "twins", options: link.options,
            controllers: ["a", "b"].map { id in
                ControllerDescription(
                    id: id, options: link.controllers[0].options, board: link.controllers[0].board,
                    lockers: link.controllers[0].lockers)
            })
        #expect(
            throws: LockerError(
                .invalidRequest, "controllers a and b both have unit 1; want one each")
        ) {
            _ = try ModbusDriver.makeControllers(
                for: twins, context: DriverContext(link: "twins", logger: .init(label: "test")))
        }
    }
}
