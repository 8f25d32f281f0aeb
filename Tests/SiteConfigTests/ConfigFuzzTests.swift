import Foundation
import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

/// Damages a text the way slips of the hand, half-copied files and malice do.
private struct Mutator {
    var random: SeededGenerator

    private static let tokens = [
        "[", "]", "[[", "]]", "{", "}", "=", ".", ",", "\"", "'", "\"\"\"", "'''", "\n", "\r\n",
        "#", "\\", "\\u0000", "\\uD800",
        "[[controller]]\n", "[controller]\n", "id = \"sim\"\n", "number = 1\n", "first_id = 101\n",
        "lockers = 512\n", "unit = 1\n", "burst_ms = 100\n", "pulse_ms = 300\n",
        "-1", "9999999999999999999", "0x", "1e999", "nan", "inf", "true", "1979-05-27T07:32:00Z",
        "07:32", "{a.b={}}", "\u{FEFF}", "é",
    ].map { Array($0.utf8) }

    mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, at + Int.random(in: 0...40, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: if at < bytes.count { bytes[at] = UInt8.random(in: 0...255, using: &random) }
            case 1: bytes.removeSubrange(at..<end)
            case 2: bytes.insert(contentsOf: bytes[at..<end], at: at)
            case 3: bytes.removeSubrange(end...)
            case 4: swapLines(&bytes)
            default:
                bytes.insert(contentsOf: Self.tokens.randomElement(using: &random) ?? [], at: at)
            }
        }
        return bytes
    }

    private mutating func swapLines(_ bytes: inout [UInt8]) {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count > 1 else { return }
        lines.swapAt(
            Int.random(in: 0..<lines.count, using: &random),
            Int.random(in: 0..<lines.count, using: &random))
        bytes = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }
}

@Suite struct `The config loader under fuzz` {
    private static let links = [
        TestSite.link,
        "\(TestSite.link)\n[[controller.locker]]\nnumber = 2\nid = 300\nname = \"x\"\n[[controller]]\nid = \"b\"\nlockers = 3\nfirst_id = 200\nunit = 2\nburst_ms = 900\n",
        "driver = \"relay\"\nlink = { host = \"h\" }\n[[controller]]\nid = \"c\"\nboard = \"eight\"\nfirst_id = 400\nunit = 1\nstale_after_ms = 900\n",
    ]
    private static let lockerd =
        "\(TestSite.lockerd)\n[control]\nmax_clients = 3\n[[control.rule]]\nusers = [\"kiosk\"]\nrights = [\"view\"]\nbanks = [\"main\"]\n[doors]\nlate_ms = 9\n[coil]\nburst_ms = 400\n[type.x]\nalways_out_of_service = true\n[[uplink]]\nmodule = \"post\"\nurl = \"u\"\n"
    private static let board = "lockers = 8\npulse_ms = 120\n[coil]\non = \"ff00\"\n"

    @Test func `survives damaged files and keeps what it promises`() async throws {
        try await TestSite.with { site in
            var files = ["lockerd.toml": Self.lockerd, "boards/eight.toml": Self.board]
            for (index, link) in Self.links.enumerated() { files["links.d/\(index).toml"] = link }
            files["../modules/relay/module.toml"] = TestSite.relay
            try damage(files, of: site, rounds: 700, seed: 2)
        }
    }

    @Test func `survives damaged shipped files`() async throws {
        try await TestSite.with { site in
            try removeItem("\(site.directory)/links.d/a.toml")
            var files: [String: String] = [:]
            for (name, path) in [
                "lockerd.toml": "etc/demo/lockerd.toml",
                "heartbeat.token": "etc/demo/heartbeat.token",
                "links.d/sim.toml": "etc/links.d/simulator.toml.example",
                "links.d/yard.toml": "etc/links.d/yard.toml.example",
                "links.d/board.toml": "etc/demo/links.d/board.toml",
                "../modules/modbus/module.toml": "Plugins/Modbus/module.toml",
                "../modules/simulator/module.toml": "Plugins/Simulator/module.toml",
                "../modules/http/module.toml": "Plugins/HTTPUplink/module.toml",
                "boards/waveshare-relay-8.toml": "Plugins/Modbus/boards/waveshare-relay-8.toml",
                "boards/generic-coil-8.toml": "Plugins/Modbus/boards/generic-coil-8.toml",
            ] {
                files[name] = try String(
                    contentsOfFile: "\(Checkout.root)/\(path)", encoding: .utf8)
            }
            try site.write(files)
            #expect(site.load().texts == [])
            try damage(files, of: site, rounds: 200, seed: 4)
        }
    }

    /// Loads the site once a round, each time with one of its files damaged.
    private func damage(
        _ files: [String: String], of site: TestSite, rounds: Int, seed: UInt64
    ) throws {
        try site.write(files)
        var mutator = Mutator(random: SeededGenerator(seed: seed))
        let names = files.keys.sorted()
        for round in 0..<rounds {
            let name = names[round % names.count]
            let path = URL(fileURLWithPath: "\(site.directory)/\(name)")
            let whole = Array((files[name] ?? "").utf8)
            try Data(mutator.damaged(whole)).write(to: path)
            check(site.load(), "round \(round): \(name)")
            try Data(whole).write(to: path)
        }
    }

    private func check(_ result: LoadResult, _ what: String) {
        for problem in result.problems {
            #expect(
                problem.line >= 1 && !problem.file.isEmpty && !problem.message.isEmpty, "\(what)")
            #expect(!problem.description.utf8.contains { $0 < 0x20 }, "\(what): \(problem)")
        }
        let mistakes = result.problems.filter { !$0.isAdvice }
        guard let plan = result.plan else {
            #expect(!mistakes.isEmpty, "\(what)")
            return
        }
        #expect(
            Set(plan.links.flatMap(\.problems)) == Set(mistakes.map(\.description)), "\(what)")
        let controllers = plan.links.flatMap(\.controllers)
        #expect(Set(controllers.map(\.id)).count == controllers.count, "\(what)")
        let lockers = controllers.flatMap(\.lockers)
        #expect(Set(lockers.map(\.id)).count == lockers.count, "\(what)")
        for controller in controllers {
            #expect(
                Set(controller.lockers.map(\.number)).count == controller.lockers.count, "\(what)")
            #expect(controller.supplyGroup.map { plan.supplyGroups[$0] != nil } ?? true, "\(what)")
        }
        for link in plan.links where link.problems.isEmpty {
            #expect(link.module != nil && !link.controllers.isEmpty, "\(what)")
            #expect(link.controllers.allSatisfy { !$0.lockers.isEmpty }, "\(what)")
            let lockers = link.controllers.flatMap(\.lockers)
            #expect(lockers.allSatisfy { $0.pulse <= $0.coil.burst }, "\(what)")
        }
    }

    @Test func `parses or refuses any bytes, with a line`() {
        var mutator = Mutator(random: SeededGenerator(seed: 3))
        let seeds = (Self.links + [Self.lockerd, TestSite.relay]).map { Array($0.utf8) }
        for round in 0..<3000 {
            var bytes = seeds[round % seeds.count]
            if round % 3 == 0 {
                bytes = (0..<Int.random(in: 0...300, using: &mutator.random)).map { _ in
                    UInt8.random(in: round % 2 == 0 ? 0...255 : 9...126, using: &mutator.random)
                }
            } else {
                for _ in 0...(round % 5) { bytes = mutator.damaged(bytes) }
            }
            if case .failure(let failure) = Document.parse(bytes, as: "f") {
                #expect(failure.problem.line >= 1)
                #expect(failure.problem.line <= 1 + bytes.count { $0 == UInt8(ascii: "\n") })
            }
        }
    }

    @Test func `reads the worst file of the largest size in bounded time`() {
        let size = ConfigLimits.fileBytes
        let texts = [
            String(repeating: "[[a]]\n", count: size / 6),
            String(repeating: "[", count: size), String(repeating: "\"", count: size),
            String(repeating: "a.", count: size / 2),
            "a = [" + String(repeating: "1,", count: size / 2 - 4) + "]",
            (0..<size / 16).map { "key\($0) = 1\n" }.joined(),
            "a = \"" + String(repeating: "\\u0041", count: size / 6 - 2) + "\"",
        ]
        for text in texts {
            let start = ContinuousClock.now
            _ = Document.parse(Array(text.utf8), as: "f")
            // Far above what it takes; a quadratic pass would take minutes.
            #expect(ContinuousClock.now - start < .seconds(30), "\(text.prefix(20))")
        }
    }
}
