import DriverBench
import LockerKit
import TestSupport
import Testing

@testable import GPIODriver

@Suite struct `A controller on GPIO lines` {
    private static let usual = """
        [[controller]]
        id = "wall"
        chip = "expander"
        fires_at = "high"
        first_id = 1
        bank = "main"
        power = "main"

        """

    private func plan(_ keys: String, tables: String = "") async throws -> ExpanderPlan {
        let link = try await LinkFixture.load(
            Self.usual + keys + "\n" + tables, driver: "gpio-expander", folder: "GPIOExpander",
            boards: [:])
        return try ExpanderPlan(link.controllers[0], link: link.options)
    }

    @Test func `has its lines in a row, or where each locker says`() async throws {
        let plan = try await plan(
            "lockers = 3\nfirst_output = 4\nfirst_input = 8\nopen_level = 0",
            tables: """
                [[controller.locker]]
                number = 2
                output_name = "lock2"
                input = 15
                fires_at = "low"
                sensor_inverted = true
                [[controller.locker]]
                number = 3
                sensor = false
                """)
        #expect(
            plan.wires[1]
                == .init(output: .offset(4), onLevel: true, input: .offset(8), openLevel: false))
        #expect(
            plan.wires[2]
                == .init(
                    output: .name("lock2"), onLevel: false, input: .offset(15), openLevel: true))
        #expect(
            plan.wires[3]
                == .init(output: .offset(6), onLevel: true, input: nil, openLevel: false))
        #expect(plan.sensed == [1, 2])
        #expect(!plan.capabilities.polarityKnown)
        #expect(plan.capabilities.pulseTiming == .host)
    }

    @Test(arguments: [
        ("lockers = 2", "", "locker 1 of wall has a sensor and no line for it"),
        (
            "lockers = 4\nfirst_input = 3", "", "lockers 1 and 4 of wall share line 3 of expander"
        ),
        (
            "lockers = 2\nsensors = false",
            "[[controller.locker]]\nnumber = 2\noutput = 0",
            "lockers 1 and 2 of wall share line 0 of expander"
        ),
        (
            "lockers = 2\nsensors = false",
            "[[controller.locker]]\nnumber = 2\noutput = 5\noutput_name = \"x\"",
            "a locker has output and output_name"
        ),
        ("lockers = 65\nsensors = false", "", "has 65 lockers; want at most 64"),
        (
            "board = \"mcp23017\"\nlockers = 7\nfirst_input = 8", "",
            ""
        ),
        (
            "board = \"mcp23017\"\nlockers = 8\nfirst_input = 8", "",
            "locker 8 of wall has its sensor at line 15, which on a MCP23017 is an output only: want another line, or an MCP23S17"
        ),
        ("board = \"mcp23s17\"\nlockers = 8\nfirst_input = 8", "", ""),
        (
            "board = \"mcp23017\"\nlockers = 8\nfirst_input = 8\ninput_chip = \"other\"", "", ""
        ),
        (
            "board = \"mcp23017\"\nlockers = 17\nsensors = false", "",
            "locker 17 of wall has its output at line 16; a MCP23017 has lines 0-15"
        ),
        (
            "board = \"pcf8574\"\nlockers = 4\nfirst_input = 4", "",
            "lines of a PCF8574 are high from power-up until lockerd starts, and every lock fires for as long"
        ),
        (
            "board = \"pca9535\"\nlockers = 4\nfirst_input = 8\ninput_bias = \"pull-up\"", "",
            "a PCA9535 has no such resistors"
        ),
    ])
    func `is refused where its wiring cannot be right`(
        keys: String, tables: String, words: String
    ) async throws {
        guard !words.isEmpty else {
            _ = try await plan(keys, tables: tables)
            return
        }
        let error = try await #require(throws: LockerError.self) {
            try await plan(keys, tables: tables)
        }
        #expect(error.code == .invalidRequest)
        #expect(error.message.contains(words), "\(error.message)")
    }

    @Test(arguments: [
        "mcp23017", "mcp23s17", "mcp23008", "pcf8574", "pcf8575", "pca9535", "pca9555", "tca6408",
        "raspberry-pi",
    ])
    func `has a profile for every chip that is shipped`(board: String) async throws {
        let firesAt = board.hasPrefix("pcf") ? "low" : "high"
        let toml = Self.usual.replacing("\"high\"", with: "\"\(firesAt)\"")
        let link = try await LinkFixture.load(
            toml + "board = \"\(board)\"\nlockers = 3\nfirst_input = 4", driver: "gpio-expander",
            folder: "GPIOExpander", boards: [:])
        let plan = try ExpanderPlan(link.controllers[0], link: link.options)
        #expect(plan.profile != nil)
    }
}
