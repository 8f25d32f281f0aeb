import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

@Suite struct `A module manifest` {
    private func load(_ manifest: String, _ files: [String: String] = [:]) async throws
        -> LoadResult
    {
        try await TestSite.with(files) { site in
            try write(manifest, to: "\(site.modules)/relay/module.toml")
            return site.load()
        }
    }

    static let mistakes: [Mistake] = [
        Mistake(
            TestSite.relay.replacing("name = \"relay\"", with: "name = \"relais\""),
            "1: name is \"relais\"; want \"relay\" like the folder"),
        Mistake(
            TestSite.relay.replacing("\"relay-module\"", with: "\"../sh\""),
            "4: executable is \"../sh\"; want a file name without a folder"),
        Mistake(
            TestSite.relay.replacing("kind = \"driver\"", with: "kind = \"drivel\""),
            "2: kind is \"drivel\"; want \"driver\" or \"uplink\""),
        Mistake(
            TestSite.relay.replacing("protocol = 1", with: "protocol = \"1\""),
            "3: protocol is a string; want 1-1000"),
        Mistake(
            TestSite.relay.replacing("options.link.host", with: "options.lnik.host"),
            "7: options: unknown key \"lnik\"; did you mean \"link\"?"),
        Mistake(
            TestSite.relay.replacing("default = 502", with: "default = 0"),
            "15: options.link.port.default is 0; want 1-65535"),
        Mistake(
            TestSite.relay.replacing("type = \"number\"", with: "type = \"float\""),
            "22: options.link.boost.type is \"float\"; want \"string\", \"integer\""),
        Mistake(
            TestSite.relay.replacing("speed = \"fast\"", with: "sped = \"fast\""),
            "25: options.link.boost.when names \"sped\", which is no key of options.link; did you mean \"speed\"?"
        ),
        Mistake(
            TestSite.relay.replacing("options.controller.unit", with: "options.controller.poll_ms"),
            "26: options.controller.poll_ms is a key of the core; want another name"),
        Mistake(
            TestSite.relay.replacing("[\"slow\", \"fast\"]", with: "[\"slow\", 3]"),
            "19: options.link.speed.one_of has 3; want a string"),
        Mistake(
            TestSite.relay.replacing("min = 1\nmax = 65535", with: "min = 9\nmax = 5"),
            "13: options.link.port.min is above max"),
        Mistake("[", "1: not TOML:"),
    ]

    @Test(arguments: mistakes) func `that is wrong makes its links faulted`(mistake: Mistake)
        async throws
    {
        let result = try await load(mistake.text)
        #expect(result.plan?.links.first?.module == nil)
        let texts = result.texts
        #expect(
            texts.first == "links.d/a.toml:1: driver is \"relay\"; its module.toml cannot be used")
        #expect(
            texts.contains { $0.contains("/modules/relay/module.toml:\(mistake.problem)") },
            "\(texts)")
    }

    @Test func `shared by two bad links is told once and held against both`() async throws {
        let other = TestSite.link.replacing("wall", with: "hall").replacing("101", with: "201")
        let result = try await load("[", ["links.d/b.toml": other])
        #expect(result.problems.count == 3)
        #expect(result.plan?.links.map(\.problems.count) == [2, 2])
    }

    @Test func `is taken from the first folder that has it`() async throws {
        try await TestSite.with { site in
            try write("name = \"relay\"", to: "\(site.directory)/more/relay/module.toml")
            try site.write([
                "lockerd.toml":
                    "module_dirs = [\"none\", \"../modules\", \"more\"]\n\(TestSite.lockerd)"
            ])
            #expect(site.load().texts == [])
        }
    }

    @Test func `that is looked for in vain is answered with those that there are`() async throws {
        for (driver, end) in [
            ("wago", "; there are post, relay"), ("Relay", "; want a name of a-z"),
            ("relya", "; did you mean \"relay\"?"),
        ] {
            let link = TestSite.link.replacing("driver = \"relay\"", with: "driver = \"\(driver)\"")
            let said = try await TestSite.load(["links.d/a.toml": link]).texts
            #expect(said.first?.contains(end) == true, "\(said)")
        }
    }

    @Test func `may describe arrays, tables with free names and keys of keys`() async throws {
        let extra = """
            [options.link.map]
            type = "table"
            [options.link.map.items]
            type = "integer"
            max = 3
            [options.link.list]
            type = "array"
            min = 1
            [options.link.list.items]
            type = "string"
            [options.link.steps]
            type = "array"
            [options.link.steps.keys.at]
            type = "integer"
            required = true
            [options.link.any]
            type = "table"
            """
        let good =
            "map = { a = 1, b = 3 }\nlist = [\"x\"]\nsteps = [{ at = 1 }]\nany = { z = [1] }\nhost ="
        let manifest = "\(TestSite.relay)\n\(extra)"
        #expect(
            try await load(
                manifest, ["links.d/a.toml": TestSite.link.replacing("host =", with: good)]
            ).texts == [])
        let bad = "map = { a = 4 }\nlist = []\nsteps = [{ at = 1 }, { att = 1 }]\nhost ="
        #expect(
            try await load(
                manifest, ["links.d/a.toml": TestSite.link.replacing("host =", with: bad)]
            ).texts == [
                "links.d/a.toml:3: link.map.a is 4; want at most 3",
                "links.d/a.toml:4: link.list has 0 entries; want at least 1",
                "links.d/a.toml:5: link.steps.at is missing; want an integer",
                "links.d/a.toml:5: link.steps: unknown key \"att\"; did you mean \"at\"?",
            ])
    }

    @Test func `may have tables that can be left out`() async throws {
        let extra = """
            [options.link.tuning]
            type = "table"
            [options.link.tuning.keys.gain]
            type = "integer"
            default = 3
            [options.link.proxy]
            type = "table"
            [options.link.proxy.keys.host]
            type = "string"
            required = true
            """
        let plan = try await load("\(TestSite.relay)\n\(extra)").plan
        #expect(plan?.links.first?.problems == [])
        #expect(plan?.links.first?.options["tuning"] == ["gain": 3])
        #expect(plan?.links.first?.options["proxy"] == nil)
    }

    @Test func `may want a table for each locker`() async throws {
        let extra = "[options.locker.line]\ntype = \"integer\"\nrequired = true"
        let lockers = (1...3).map { "\n[[controller.locker]]\nnumber = \($0)\nline = \($0)" }
            .joined()
        let result = try await load(
            "\(TestSite.relay)\n\(extra)", ["links.d/a.toml": "\(TestSite.link)\(lockers)"])
        #expect(
            result.texts == [
                "links.d/a.toml:4: controller.locker is missing for number 4; want a table with line for each locker"
            ])
    }
}

@Suite struct `A board profile` {
    private let link = TestSite.link.replacing("lockers = 4", with: "board = \"eight\"")
    private let eight = "summary = \"s\"\nlockers = 8\npulse_ms = 120\n[coil]\non = \"ff00\""

    @Test func `gives the number of lockers, the pulse and the module's keys`() async throws {
        let result = try await TestSite.load(["links.d/a.toml": link, "boards/eight.toml": eight])
        #expect(result.texts == [])
        let controller = try #require(result.plan?.links.first?.controllers.first)
        #expect(controller.lockers.count == 8)
        #expect(controller.lockers.first?.pulse == .milliseconds(120))
        #expect(
            controller.board == [
                "summary": "s", "lockers": 8, "pulse_ms": 120, "coil": ["on": "ff00", "first": 0],
            ])
    }

    @Test func `of the site comes before the module's own`() async throws {
        try await TestSite.with(["links.d/a.toml": link]) { site in
            try write(eight, to: "\(site.modules)/relay/boards/eight.toml")
            #expect(site.load().plan?.links.first?.controllers.first?.lockers.count == 8)
            try site.write([
                "boards/eight.toml": eight.replacing("lockers = 8", with: "lockers = 7")
            ])
            #expect(site.load().plan?.links.first?.controllers.first?.lockers.count == 7)
        }
    }

    @Test func `that is wrong faults its link`() async throws {
        let wrong = "lockers = 0\nlocker = 8\n[coil]\non = \"ff01\""
        let result = try await TestSite.load(["links.d/a.toml": link, "boards/eight.toml": wrong])
        #expect(
            result.texts == [
                "links.d/a.toml:6: controller.board is \"eight\"; that profile cannot be used",
                "boards/eight.toml:1: lockers is 0; want 1-512",
                "boards/eight.toml:2: unknown key \"locker\"; did you mean \"lockers\"?",
                "boards/eight.toml:4: coil.on is \"ff01\"; want \"ff00\" or \"0000\"",
            ])
        #expect(result.plan?.links.first?.problems == result.texts)
    }

    @Test func `that is missing is named with the folders searched and the nearest one`()
        async throws
    {
        let result = try await TestSite.load(["links.d/a.toml": link, "boards/eigth.toml": eight])
        let said = try #require(result.texts.first)
        #expect(
            said.hasPrefix(
                "links.d/a.toml:6: controller.board is \"eight\"; no such profile: not found in "))
        #expect(said.contains("/etc/boards, ") && said.contains("/modules/relay/boards"))
        #expect(said.hasSuffix("; did you mean \"eigth\"?"))
        #expect(result.texts.count == 1)
    }

    @Test func `that nothing comes near to is answered with those that there are`() async throws {
        let files = ["links.d/a.toml": link, "boards/kerong.toml": eight, "boards/README.md": "x"]
        let said = try #require(try await TestSite.load(files).texts.first)
        #expect(said.hasSuffix("; there are kerong"))
        let none = try #require(try await TestSite.load(["links.d/a.toml": link]).texts.first)
        #expect(none.hasSuffix("/relay/boards, where there is none at all"))
    }

    @Test func `has no fewer lockers than the link file says`() async throws {
        let result = try await TestSite.load([
            "links.d/a.toml": link.replacing("unit", with: "lockers = 9\nunit"),
            "boards/eight.toml": eight,
        ])
        #expect(
            result.texts == ["links.d/a.toml:8: controller.lockers is 9; board \"eight\" has 8"])
    }
}

@Suite struct `The nearest word` {
    @Test func `is one that a slip of the hand explains`() {
        let words = ["socket", "group", "max_clients", "id", "unit"]
        #expect(nearest("sockett", in: words) == "socket")
        #expect(nearest("scoket", in: words) == "socket")
        #expect(nearest("max-client", in: words) == "max_clients")
        #expect(nearest("di", in: words) == "id")
        #expect(nearest("Socket", in: words) == "socket")
        #expect(nearest("MAX_CLIENT", in: words) == "max_clients")
        #expect(nearest("zebra", in: words) == nil)
        #expect(nearest("", in: words) == nil)
        #expect(nearest(String(repeating: "x", count: 100_000), in: words) == nil)
    }
}
