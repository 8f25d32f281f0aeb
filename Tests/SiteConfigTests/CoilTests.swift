import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

/// The small complete site with lines at the end of lockerd.toml (from line 5), of the controller (from line 11) and of the board
/// profile (from line 4), and with tables of lockers behind the controller.
private func load(
    site: String = "", board: String? = nil, controller: String = "", lockers: String = ""
) async throws -> LoadResult {
    var link = TestSite.link
    if board != nil { link = link.replacing("bank = \"main\"", with: "board = \"eight\"") }
    return try await TestSite.load([
        "lockerd.toml": "\(TestSite.lockerd)\n\(site)",
        "boards/eight.toml":
            "lockers = 8\ncoil = { on = \"ff00\" }\nsummary = \"s\"\n\(board ?? "")",
        "links.d/a.toml": "\(link)\n\(controller)\n\(lockers)",
    ])
}

@Suite struct `How much a coil may be used` {
    private static let keys = ["rest_ms", "opens_per_minute", "duty_percent", "burst_ms"]

    /// All four keys with the values of one layer.
    private static func lines(_ layer: Int) -> [String] {
        keys.map { "\($0) = \(value($0, layer))" }
    }

    private static func value(_ key: String, _ layer: Int) -> Int {
        key == "burst_ms" ? 1000 * layer : layer
    }

    private func coils(_ result: LoadResult) -> [CoilPlan] {
        #expect(result.texts == [])
        return result.plan?.links.first?.controllers.first?.lockers.map(\.coil) ?? []
    }

    @Test func `has defaults`() async throws {
        let usual = CoilPlan(
            rest: .milliseconds(100), opensPerMinute: 60, dutyPercent: 25,
            burst: .milliseconds(10_000))
        #expect(coils(try await load()) == [usual, usual, usual, usual])
    }

    @Test func `is what the nearest table says`() async throws {
        func plan(_ layer: Int) -> CoilPlan {
            CoilPlan(
                rest: .milliseconds(layer), opensPerMinute: layer, dutyPercent: layer,
                burst: .seconds(layer))
        }
        func lines(_ layer: Int) -> String { Self.lines(layer).joined(separator: "\n") }
        let site = "[coil]\n\(lines(4))"
        let locker = "[[controller.locker]]\nnumber = 2\n\(lines(1))"
        #expect(coils(try await load(site: site)) == [4, 4, 4, 4].map(plan))
        #expect(coils(try await load(site: site, board: lines(3))) == [3, 3, 3, 3].map(plan))
        #expect(
            coils(try await load(site: site, board: lines(3), controller: lines(2)))
                == [2, 2, 2, 2].map(plan))
        #expect(
            coils(
                try await load(
                    site: site, board: lines(3), controller: lines(2), lockers: locker))
                == [2, 1, 2, 2].map(plan))
    }

    @Test func `is settled key by key`() async throws {
        // Each key is said by a layer of its own, and by all that are farther away.
        let layers = (1...4).map { layer in
            Self.lines(layer).prefix(layer).joined(separator: "\n")
        }
        let result = try await load(
            site: "[coil]\n\(layers[3])", board: layers[2], controller: layers[1],
            lockers: "[[controller.locker]]\nnumber = 1\n\(layers[0])")
        let coils = coils(result)
        try #require(coils.count == 4)
        #expect(
            coils[0]
                == CoilPlan(
                    rest: .milliseconds(1), opensPerMinute: 2, dutyPercent: 3, burst: .seconds(4)))
        #expect(
            coils[1]
                == CoilPlan(
                    rest: .milliseconds(2), opensPerMinute: 2, dutyPercent: 3, burst: .seconds(4)))
    }

    @Test func `of one link's board does not reach another link`() async throws {
        let result = try await TestSite.load([
            "links.d/a.toml": "\(TestSite.link)\nrest_ms = 9",
            "links.d/b.toml": TestSite.link.replacing("wall", with: "hall")
                .replacing("101", with: "201").replacing("10.0.0.1", with: "10.0.0.2"),
        ])
        #expect(result.texts == [])
        let rests = result.plan?.links.map { $0.controllers[0].lockers[0].coil.rest }
        #expect(rests == [.milliseconds(9), .milliseconds(100)])
    }

    @Test func `never reaches the driver among its own keys`() async throws {
        let result = try await load(
            controller: "rest_ms = 5", lockers: "[[controller.locker]]\nnumber = 1\nrest_ms = 6")
        let controller = try #require(result.plan?.links.first?.controllers.first)
        #expect(controller.options == ["unit": 1])
        #expect(controller.lockers[0].options == ["delay_ms": 10])
    }

    @Test func `is another plan of the link when [coil] changes`() async throws {
        try await TestSite.with { site in
            let running = try #require(site.load().plan?.links)
            try site.write(["lockerd.toml": "\(TestSite.lockerd)\n[coil]\nrest_ms = 101"])
            let links = try #require(site.load(running: running).plan?.links)
            #expect(links != running)
            #expect(links.map(\.problems) == [[]])
        }
    }

    @Test(arguments: [
        ("rest_ms", 0, 60_000), ("opens_per_minute", 1, 6000), ("duty_percent", 1, 100),
        ("burst_ms", 100, 600_000),
    ])
    func `lies in a range, wherever it stands`(key: String, low: Int, high: Int) async throws {
        for value in [low, high] {
            let line = "pulse_ms = 10\n\(key) = \(value)"
            let locker = "[[controller.locker]]\nnumber = 1\n\(line)"
            let result = try await load(
                site: "[coil]\n\(key) = \(value)", board: line, controller: line, lockers: locker)
            #expect(result.texts == [])
        }
        for value in [low - 1, high + 1] {
            let line = "\(key) = \(value)"
            let wrong = "\(line.replacing("=", with: "is")); want \(low)-\(high)"
            let locker = "[[controller.locker]]\nnumber = 1\n\(line)"
            let site = try await load(site: "[coil]\n\(line)")
            #expect(site.plan == nil)
            #expect(site.texts == ["lockerd.toml:6: coil.\(wrong)"])
            #expect(
                try await load(controller: line, lockers: locker).texts == [
                    "links.d/a.toml:11: controller.\(wrong)",
                    "links.d/a.toml:14: controller.locker.\(wrong)",
                ])
            #expect(
                try await load(board: line).texts == [
                    "links.d/a.toml:9: controller.board is \"eight\"; that profile cannot be used",
                    "boards/eight.toml:4: \(wrong)",
                ])
        }
    }

    @Test func `is not given by a key or a value that is none`() async throws {
        let site = try await load(site: "[coil]\nburst = 1\nduty_percent = 0.5\nrest_ms = true")
        #expect(site.plan == nil)
        #expect(
            site.texts == [
                "lockerd.toml:6: coil: unknown key \"burst\"; known: rest_ms, opens_per_minute, duty_percent, burst_ms",
                "lockerd.toml:7: coil.duty_percent is 0.5; want an integer, 1-100",
                "lockerd.toml:8: coil.rest_ms is true; want 0-60000",
            ])
        let link = try await load(
            controller: "dutty_percent = 5",
            lockers: "[[controller.locker]]\nnumber = 1\nopens_per_minutes = 5")
        #expect(
            link.texts == [
                "links.d/a.toml:11: controller: unknown key \"dutty_percent\"; did you mean \"duty_percent\"?",
                "links.d/a.toml:14: controller.locker: unknown key \"opens_per_minutes\"; did you mean \"opens_per_minute\"?",
            ])
        #expect(
            try await load(board: "brust_ms = 500").texts.last
                == "boards/eight.toml:4: unknown key \"brust_ms\"; did you mean \"burst_ms\"?")
    }
}

@Suite struct `A burst that is shorter than the pulse` {
    private func problems(
        site: String = "", board: String? = nil, controller: String = "", lockers: String = ""
    ) async throws -> [String] {
        let result = try await load(
            site: site, board: board, controller: controller, lockers: lockers)
        #expect(result.plan?.links.first?.problems == result.texts)
        return result.texts
    }

    private func locker(_ number: Int, _ lines: String) -> String {
        "[[controller.locker]]\nnumber = \(number)\n\(lines)\n"
    }

    @Test func `is told at the nearer of the two keys`() async throws {
        #expect(
            try await problems(controller: "burst_ms = 300\npulse_ms = 301") == [
                "links.d/a.toml:11: controller.burst_ms is 300; want at least pulse_ms, which is 301"
            ])
        #expect(
            try await problems(site: "[coil]\nburst_ms = 300", controller: "pulse_ms = 301") == [
                "links.d/a.toml:11: controller.pulse_ms is 301; want at most burst_ms, which is 300 ([coil] in lockerd.toml)"
            ])
        #expect(
            try await problems(board: "burst_ms = 300", controller: "pulse_ms = 301") == [
                "links.d/a.toml:11: controller.pulse_ms is 301; want at most burst_ms, which is 300 (board profile \"eight\")"
            ])
        #expect(
            try await problems(controller: "burst_ms = 150") == [
                "links.d/a.toml:11: controller.burst_ms is 150; want at least pulse_ms, which is 200 (the default)"
            ])
    }

    @Test func `is told where the board profile is named, or else at the controller`() async throws
    {
        #expect(
            try await problems(board: "burst_ms = 300\npulse_ms = 301") == [
                "links.d/a.toml:9: controller.board is \"eight\", whose burst_ms is 300; want at least pulse_ms, which is 301"
            ])
        #expect(
            try await problems(site: "[coil]\nburst_ms = 300", board: "pulse_ms = 301") == [
                "links.d/a.toml:9: controller.board is \"eight\", whose pulse_ms is 301; want at most burst_ms, which is 300 ([coil] in lockerd.toml)"
            ])
        #expect(
            try await problems(site: "[coil]\nburst_ms = 150") == [
                "links.d/a.toml:4: controller: burst_ms of [coil] in lockerd.toml is 150; want at least pulse_ms, which is 200 (the default)"
            ])
    }

    @Test func `is told of each locker that is to blame itself`() async throws {
        let lockers =
            locker(1, "pulse_ms = 400") + locker(2, "burst_ms = 120") + locker(3, "")
            + locker(4, "pulse_ms = 500\nburst_ms = 500")
        #expect(
            try await problems(controller: "burst_ms = 300", lockers: lockers) == [
                "links.d/a.toml:14: controller.locker.pulse_ms is 400; want at most burst_ms, which is 300 (line 11)",
                "links.d/a.toml:17: controller.locker.burst_ms is 120; want at least pulse_ms, which is 200 (the default)",
            ])
    }

    @Test func `does not matter where no locker has it so`() async throws {
        let all = (1...4).map { locker($0, "pulse_ms = 100") }
        #expect(try await problems(site: "[coil]\nburst_ms = 100", lockers: all.joined()) == [])
        let most = all.dropLast().joined()
        #expect(try await problems(site: "[coil]\nburst_ms = 100", lockers: most).count == 1)
        #expect(try await problems(controller: "burst_ms = 200") == [])
    }

    @Test func `is not judged where one of the two is wrong or not known`() async throws {
        #expect(
            try await problems(
                site: "[coil]\nburst_ms = 300", controller: "burst_ms = 99\npulse_ms = 301"
            ) == ["links.d/a.toml:11: controller.burst_ms is 99; want 100-600000"])
        #expect(
            try await problems(
                controller: "burst_ms = 100", lockers: locker(1, "pulse_ms = 9")
            ).first { $0.contains("locker") }
                == "links.d/a.toml:14: controller.locker.pulse_ms is 9; want 10-5000")
        for (driver, board) in [("relay", "nine"), ("relay", "N"), ("relai", "eight")] {
            let link = TestSite.link.replacing("\"relay\"", with: "\"\(driver)\"")
            let result = try await TestSite.load([
                "links.d/a.toml": "\(link)\nboard = \"\(board)\"\nburst_ms = 100"
            ])
            #expect(result.texts.count == 1)
        }
        let wrong = try await problems(board: "pulse_ms = 9", controller: "burst_ms = 100")
        #expect(wrong.count == 2)
        #expect(!wrong.joined().contains("burst_ms"))
    }
}
