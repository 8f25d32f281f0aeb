import BusKit
import DriverBench
import Foundation
import LockerKit
import TestSupport
import Testing

@testable import SerialBoardDriver

@Suite struct `A serial board in the configuration` {
    private func refusal(_ toml: String, boards: [String: String] = [:]) async throws -> String {
        do {
            _ = try await Bench(toml, boards: boards)
        } catch {
            return "\(error)"
        }
        throw Timeout(description: "accepted: \(toml)")
    }

    private static let line = "transport = \"serial\"\ndevice = \"/dev/none\""

    private func controller(_ id: String, _ board: String, _ address: Int, _ more: String = "")
        -> String
    {
        """

        [[controller]]
        id = "\(id)"
        board = "\(board)"
        address = \(address)
        first_id = \(id == "a" ? 1 : 101)
        \(more)
        """
    }

    @Test func `is of a profile that ships, each of which has a row in the byte tables`()
        async throws
    {
        let files = try FileManager.default.contentsOfDirectory(
            atPath: "\(Checkout.root)/Plugins/SerialBoard/boards")
        #expect(files.sorted() == Family.all.map { "\($0.profile).toml" }.sorted())
        for family in Family.all {
            let bench = try await Bench(family.toml(Self.line))
            let plan = try BoardPlan(bench.link.controllers[0])
            #expect(plan.wires.count == family.lockers && plan.profile.baud == family.baud)
            #expect(Row.all.contains { type(of: $0.codec) == type(of: plan.codec) })
            #expect(plan.capabilities.pulseTiming == .board && plan.capabilities.evidence == .echo)
        }
    }

    @Test func `that makes no sense is refused before anything is touched`() async throws {
        let two = "[link]\n\(Self.line)"
        let cases: [(String, [String])] = [
            (
                two + controller("a", "kerong-kr-cu16", 1) + controller("b", "winnsen-16", 2),
                ["a is a kr-cu16 board and b a winnsen one", "one family on a line"]
            ),
            (
                two + controller("a", "winnsen-16", 1) + controller("b", "winnsen-16", 1),
                ["address", "1"]
            ),
            (two + controller("a", "hex-8a80", 0), ["address is 0", "1-31"]),
            (two + controller("a", "kerong-kr-cu16", 16), ["address is 16", "0-15"]),
            (
                two
                    + controller(
                        "a", "winnsen-16", 1, "[[controller.locker]]\nnumber = 2\nchannel = 17"),
                ["locker 2 of a has channel 17", "1-16"]
            ),
            (
                two
                    + controller(
                        "a", "winnsen-16", 1, "[[controller.locker]]\nnumber = 2\nchannel = 1"),
                ["lockers 1 and 2 of a have one channel"]
            ),
            (
                "[link]\ntransport = \"tcp\"\nhost = \"h\"" + controller("a", "winnsen-16", 1),
                ["port"]
            ),
        ]
        for (toml, words) in cases {
            let text = try await refusal(toml)
            for word in words { #expect(text.contains(word), "\(text)") }
        }
    }

    @Test func `has the rate of its profile, unless the link says another`() async throws {
        func gap(_ options: String, _ board: String, _ address: Int) async throws -> Duration {
            let bench = try await Bench(
                "[link]\n\(options)" + controller("a", board, address))
            return try LinkSettings(bench.link.options, usualBaud: bench.plan.profile.baud).frameGap
        }
        let slow = Duration.microseconds(5011)
        let fast = Duration.microseconds(3006)
        #expect(try await gap(Self.line, "winnsen-16", 1) == slow)
        #expect(try await gap(Self.line, "kerong-kr-cu16", 1) == fast)
        #expect(try await gap(Self.line + "\nbaud = 9600", "kerong-kr-cu16", 1) == slow)
        // Behind a converter there is a line, too.
        let tcp = "transport = \"tcp\"\nhost = \"h\"\nport = 4001"
        #expect(try await gap(tcp, "kerong-kr-cu16", 1) == fast)
        #expect(try await gap(tcp + "\nbaud = 9600", "kerong-kr-cu16", 1) == slow)
    }

    @Test func `whose profiles disagree about the rate wants to be told it`() async throws {
        let slow = """
            lockers = 16
            family = "kr-cu16"
            [orders]
            pulse_ms = 500
            [doors]
            read = "all"
            open = 0
            """
        let toml =
            "[link]\n\(Self.line)" + controller("a", "kerong-kr-cu16", 1)
            + controller("b", "slow", 2)
        let text = try await refusal(toml, boards: ["slow": slow])
        #expect(text.contains("link.baud is missing") && text.contains("9600 and 19200"))
        let told = toml.replacing(Self.line, with: Self.line + "\nbaud = 19200")
        #expect(try await Bench(told, boards: ["slow": slow]).controllers.count == 2)
    }

    @Test func `that cannot tell of all locks at once is not asked to`() async throws {
        let profile = """
            lockers = 16
            family = "winnsen"
            [orders]
            pulse_ms = 500
            [doors]
            read = "all"
            """
        let toml = "[link]\n\(Self.line)" + controller("a", "mine", 1)
        let text = try await refusal(toml, boards: ["mine": profile])
        #expect(text.contains("board.doors.read is \"all\"; want each"))
    }

    @Test func `whose answer about all locks has two known orders wants to be told which`()
        async throws
    {
        let profile = """
            lockers = 24
            family = "8a80"
            [orders]
            pulse_ms = 500
            [doors]
            read = "all"
            """
        let toml = "[link]\n\(Self.line)" + controller("a", "mine", 1)
        let text = try await refusal(toml, boards: ["mine": profile])
        #expect(text.contains("board.doors.order is missing"))
        let told = profile + "\norder = \"highest-first\"\n"
        #expect(try await Bench(toml, boards: ["mine": told]).controllers.count == 1)
    }

    @Test func `refuses a pulse shorter than the board's own`() async throws {
        let bench = try await Bench(
            "[link]\n\(Self.line)" + controller("board", "winnsen-16", 1))
        let board = try bench.board
        _ = try? await board.start()
        let error = try await failure { () async throws(LockerError) in
            try await board.open(1, 499)
        }
        #expect(error.code == .invalidRequest && error.fired == .no)
        #expect(error.message.contains("499 ms") && error.message.contains("500 ms"))
    }
}

extension Bench {
    var plan: BoardPlan {
        get throws { try BoardPlan(try #require(link.controllers.first)) }
    }
}
