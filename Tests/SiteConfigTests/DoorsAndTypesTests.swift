import SiteModel
import Testing

@testable import SiteConfig

/// Loads the small complete site with these lines behind its lockerd.toml; they begin in line 5.
private func load(_ lines: String, link: String = TestSite.link) async throws -> LoadResult {
    try await TestSite.load([
        "lockerd.toml": "\(TestSite.lockerd)\n\(lines)", "links.d/a.toml": link,
    ])
}

@Suite struct `The state folder` {
    @Test func `starts at the config folder when it is relative`() async throws {
        try await TestSite.with(["lockerd.toml": "state = \"../kept\"\n\(TestSite.lockerd)"]) {
            site in
            #expect(site.load().texts == [])
            #expect(site.load().plan?.stateDirectory == "\(site.directory)/../kept")
        }
    }

    @Test(arguments: [("\"\"", "\"\""), ("true", "true"), ("[\"/x\"]", "an array")])
    func `is a path`(value: String, came: String) async throws {
        let result = try await TestSite.load([
            "lockerd.toml": "state = \(value)\n\(TestSite.lockerd)"
        ])
        #expect(result.plan == nil)
        #expect(result.texts == ["lockerd.toml:1: state is \(came); want a path"])
    }
}

@Suite struct `What is expected of doors` {
    @Test func `has a default for each key that is left out`() async throws {
        let result = try await load("[doors]\nheld_ms = 0")
        #expect(result.texts == [])
        #expect(result.plan?.doors == DoorPlan(held: .zero))
        #expect(
            DoorPlan()
                == DoorPlan(
                    late: .milliseconds(60_000), held: .milliseconds(300_000), suspectPulses: 5,
                    suspectFlips: 12, suspectWindow: .milliseconds(60_000)))
    }

    @Test(arguments: [
        ("late_ms", 0, 3_600_000), ("held_ms", 0, 86_400_000), ("suspect_pulses", 0, 1000),
        ("suspect_flips", 0, 10_000), ("suspect_window_ms", 1000, 3_600_000),
    ])
    func `lies in a range`(key: String, low: Int, high: Int) async throws {
        for value in [low, high] {
            #expect(try await load("[doors]\n\(key) = \(value)").texts == [])
        }
        for value in [low - 1, high + 1] {
            let result = try await load("[doors]\n\(key) = \(value)")
            #expect(result.plan == nil)
            #expect(
                result.texts == ["lockerd.toml:6: doors.\(key) is \(value); want \(low)-\(high)"])
        }
    }

    static let mistakes: [Mistake] = [
        Mistake(
            "[doors]\nlate_ms = \"60000\"",
            "lockerd.toml:6: doors.late_ms is a string; want 0-3600000"),
        Mistake(
            "[doors]\nsuspect_pulses = 1.5",
            "lockerd.toml:6: doors.suspect_pulses is 1.5; want an integer, 0-1000"),
        Mistake(
            "[doors]\nsuspect_flip = 3",
            "lockerd.toml:6: doors: unknown key \"suspect_flip\"; did you mean \"suspect_flips\"?"),
        Mistake(
            "[doors]\nopen = 3",
            "lockerd.toml:6: doors: unknown key \"open\"; known: late_ms, held_ms, suspect_pulses, suspect_flips, suspect_window_ms"
        ),
        Mistake("[[doors]]\nlate_ms = 1", "lockerd.toml:5: doors is an array; want a table"),
        Mistake("[door]", "lockerd.toml:5: unknown key \"door\"; did you mean \"doors\"?"),
    ]

    @Test(arguments: mistakes) func `says what and where`(mistake: Mistake) async throws {
        let result = try await load(mistake.text)
        #expect(result.plan == nil)
        #expect(result.texts == [mistake.problem])
    }
}

@Suite struct `A type of locker` {
    private let link =
        TestSite.link + """

            [[controller.locker]]
            number = 1
            type = "big screen"
            [[controller.locker]]
            number = 2
            type = "large"
            [[controller.locker]]
            number = 3
            type = "screen"
            open_all = false
            """

    private func closed(_ lines: String) async throws -> [Bool]? {
        let result = try await load(lines, link: link)
        #expect(result.texts == [])
        return result.plan?.links.first?.controllers.first?.lockers.map(\.isAlwaysOutOfService)
    }

    @Test func `may never serve, and all others do`() async throws {
        #expect(
            try await closed("[type.\"big screen\"]\nalways_out_of_service = true")
                == [true, false, false, false])
        #expect(
            try await closed("[type]\nscreen.always_out_of_service = true\n[type.large]")
                == [false, false, true, false])
    }

    @Test func `serves where its table does not say otherwise, or where it has none`() async throws
    {
        let none = [false, false, false, false]
        #expect(try await closed("") == none)
        #expect(try await closed("[type.screen]") == none)
        #expect(try await closed("[type.screen]\nalways_out_of_service = false") == none)
        #expect(try await closed("[type.Screen]\nalways_out_of_service = true") == none)
    }

    @Test func `that never serves leaves open_all as the file has it`() async throws {
        let both =
            "[type]\nscreen.always_out_of_service = true\nlarge = { always_out_of_service = true }"
        let lockers = try await load(both, link: link).plan?.links.first?.controllers.first?.lockers
        #expect(lockers?.map(\.isAlwaysOutOfService) == [false, true, true, false])
        #expect(lockers?.map(\.inOpenAll) == [true, true, false, true])
    }

    static let mistakes: [Mistake] = [
        Mistake(
            "[type.screen]\nalways_out_of_service = 1",
            "lockerd.toml:6: type.screen.always_out_of_service is 1; want true or false"),
        Mistake(
            "[type.screen]\nalways_out_of_servic = true",
            "lockerd.toml:6: type.screen: unknown key \"always_out_of_servic\"; did you mean \"always_out_of_service\"?"
        ),
        Mistake(
            "[type.screen]\nopen_all = false",
            "lockerd.toml:6: type.screen: unknown key \"open_all\"; known: always_out_of_service"),
        Mistake("[type]\nscreen = true", "lockerd.toml:6: type.screen is true; want a table"),
        Mistake(
            "[type.\"\"]",
            "lockerd.toml:5: type.\"\" is no type of locker; want one line of text, at most 64 bytes"
        ),
    ]

    @Test(arguments: mistakes) func `says what and where`(mistake: Mistake) async throws {
        let result = try await load(mistake.text)
        #expect(result.plan == nil)
        #expect(result.texts == [mistake.problem])
    }

    @Test func `is judged again at a reload, without a change to the link's file`() async throws {
        try await TestSite.with(["links.d/a.toml": link]) { site in
            let running = try #require(site.load().plan?.links)
            try site.write([
                "lockerd.toml":
                    "\(TestSite.lockerd)\n[type.large]\nalways_out_of_service = true"
            ])
            let links = try #require(site.load(running: running).plan?.links)
            #expect(links != running)
            #expect(links.map(\.problems) == [[]])
            let lockers = links[0].controllers[0].lockers
            #expect(lockers.map(\.isAlwaysOutOfService) == [false, true, false, false])
        }
    }
}
