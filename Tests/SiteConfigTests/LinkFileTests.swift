import Foundation
import SiteConfig
import SiteModel
import TestSupport
import Testing

func removeItem(_ path: String) throws { try FileManager.default.removeItem(atPath: path) }

/// The link of the small complete site with one line replaced.
private func link(_ line: String, by other: String) -> String {
    TestSite.link.replacing(line, with: other)
}

/// The link of the small complete site with lines behind it.
private func appended(_ lines: String) -> String { "\(TestSite.link)\(lines)" }

@Suite struct `A bad link file` {
    static let mistakes: [Mistake] = [
        Mistake(
            link("driver = \"relay\"\n", by: ""),
            "links.d/a.toml:1: driver is missing; want a name of"),
        Mistake(
            link("\"relay\"", by: "\"relai\""),
            "links.d/a.toml:1: driver is \"relai\"; no such module: not found in "
        ),
        Mistake(
            link("\"relay\"", by: "\"post\""),
            "links.d/a.toml:1: driver is \"post\", which is of kind uplink; want driver"),
        Mistake(
            link("\"relay\"", by: "\"../relay\""),
            "links.d/a.toml:1: driver is \"../relay\"; want a name of a-z"),
        Mistake(
            link("host = \"10.0.0.1\"", by: ""),
            "links.d/a.toml:2: link.host is missing; want a string"),
        Mistake(
            link("host =", by: "port = 0\nhost ="), "links.d/a.toml:3: link.port is 0; want 1-65535"
        ),
        Mistake(
            link("host =", by: "speed = \"fats\"\nhost ="),
            "links.d/a.toml:3: link.speed is \"fats\"; want \"slow\" or \"fast\""),
        Mistake(
            link("host =", by: "boost = 1.0\nhost ="),
            "links.d/a.toml:3: link.boost does not go with speed = \"slow\"; want it only with \"fast\""
        ),
        Mistake(
            link("host =", by: "speed = \"fast\"\nboost = 2.5\nhost ="),
            "links.d/a.toml:4: link.boost is 2.5; want 0-1.5"),
        Mistake(
            link("host =", by: "speed = \"fast\"\nboost = nan\nhost ="),
            "links.d/a.toml:4: link.boost is nan; want 0-1.5"),
        Mistake(
            link("unit = 1", by: "unit = 300"),
            "links.d/a.toml:8: controller.unit is 300; want 1-247"),
        Mistake(
            link("unit = 1", by: "unit = true"),
            "links.d/a.toml:8: controller.unit is true; want 1-247"),
        Mistake(
            link("unit = 1", by: "unit = 1.0"),
            "links.d/a.toml:8: controller.unit is 1.0; want an integer, 1-247"),
        Mistake(
            link("unit = 1", by: "unti = 1"),
            "links.d/a.toml:8: controller: unknown key \"unti\"; did you mean \"unit\"?"),
        Mistake(
            link("unit = 1", by: ""), "links.d/a.toml:4: controller.unit is missing; want 1-247"),
        Mistake(
            link("id = \"wall\"", by: "id = \"Wall\""),
            "links.d/a.toml:5: controller.id is \"Wall\"; want a name of"),
        Mistake(
            link("id = \"wall\"", by: "id = \"\(String(repeating: "a", count: 33))\""),
            "links.d/a.toml:5: controller.id is \"aaa"),
        Mistake(
            link("id = \"wall\"", by: ""),
            "links.d/a.toml:4: controller.id is missing; want a name of"),
        Mistake(
            link("lockers = 4", by: "lockers = 513"),
            "links.d/a.toml:6: controller.lockers is 513; want 1-512"),
        Mistake(
            link("lockers = 4", by: ""),
            "links.d/a.toml:4: controller.lockers is missing; want 1-512, or a board profile that has it"
        ),
        Mistake(
            link("first_id = 101", by: "first_id = 0"),
            "links.d/a.toml:7: controller.first_id is 0; want 1-999999999"),
        Mistake(
            link("first_id = 101", by: "first_id = 999999997"),
            "links.d/a.toml:7: controller.first_id is 999999997; with 4 lockers want at most 999999996"
        ),
        Mistake(
            link("first_id = 101", by: ""),
            "links.d/a.toml:4: controller.first_id is missing; want 1-999999999"),
        Mistake(
            link("power = \"main\"", by: "power = \"mian\""),
            "links.d/a.toml:10: controller.power is \"mian\"; lockerd.toml has no [power.mian]; did you mean \"main\"?"
        ),
        Mistake(
            link("power =", by: "poll_ms = 19\npower ="),
            "links.d/a.toml:10: controller.poll_ms is 19; want 20-60000"),
        Mistake(
            link("power =", by: "stale_after_ms = 400\npower ="),
            "links.d/a.toml:10: controller.stale_after_ms is 400; want at least poll_ms, which is 500"
        ),
        Mistake(
            link("power =", by: "pulse_ms = 5001\npower ="),
            "links.d/a.toml:10: controller.pulse_ms is 5001; want 10-5000"),
        Mistake(
            link("power =", by: "door_wait_ms = -1\npower ="),
            "links.d/a.toml:10: controller.door_wait_ms is -1; want 0-60000"),
        Mistake(
            appended("\n[[controller.locker]]\nnumber = 5"),
            "links.d/a.toml:12: controller.locker.number is 5; the controller has lockers 1-4"),
        Mistake(
            appended("\n[[controller.locker]]\nnumber = 2\n[[controller.locker]]\nnumber = 2"),
            "links.d/a.toml:14: controller.locker.number is 2; line 12 has it already"),
        Mistake(
            appended("\n[[controller.locker]]\nname = \"x\""),
            "links.d/a.toml:11: controller.locker.number is missing; want 1-512"),
        Mistake(
            appended("\n[[controller.locker]]\nnumber = 1\ndelay_ms = 101"),
            "links.d/a.toml:13: controller.locker.delay_ms is 101; want 0-100"),
        Mistake(
            appended("\n[[controller.locker]]\nnumber = 1\nid = 102"),
            "links.d/a.toml:13: controller.locker.id is 102; controller \"wall\" (links.d/a.toml:7) has it already"
        ),
        Mistake(
            "driver = \"relay\"\nlink = { host = \"h\" }",
            "links.d/a.toml:1: controller is missing; want [[controller]] tables"),
        Mistake(
            "driver = \"relay\"\nlink = 3\n[controller]\nid = 1",
            "links.d/a.toml:2: link is 3; want a table"),
        Mistake(
            "driver = \"relay\"\nlink = 3\n[controller]\nid = 1",
            "links.d/a.toml:3: controller is a table; want [[controller]] tables"),
        Mistake(
            "driver = \"relay\"\ncontroller = [1]\n",
            "links.d/a.toml:2: controller[0] is 1; want a table"),
    ]

    @Test(arguments: mistakes) func `says what and where`(mistake: Mistake) async throws {
        let result = try await TestSite.load(["links.d/a.toml": mistake.text])
        #expect(result.texts.contains { $0.hasPrefix(mistake.problem) }, "\(result.texts)")
        #expect(result.plan?.links.first?.problems == result.texts)
    }

    @Test func `leaves the others serving`() async throws {
        let other = link("id = \"wall\"", by: "id = \"hall\"")
            .replacing("first_id = 101", with: "first_id = 201")
            .replacing("10.0.0.1", with: "10.0.0.2")
        let result = try await TestSite.load([
            "links.d/b.toml": other, "links.d/c.toml": "driver =", "links.d/d.toml": "",
        ])
        let links = try #require(result.plan?.links)
        #expect(links.map(\.name) == ["a", "b", "c", "d"])
        #expect(links.map(\.problems.isEmpty) == [true, true, false, false])
        #expect(links[1].controllers.first?.lockers.map(\.id) == [201, 202, 203, 204])
        #expect(result.texts == links.flatMap(\.problems))
    }

    @Test func `still shows the controllers and lockers that it names`() async throws {
        let result = try await TestSite.load([
            "links.d/a.toml": link("unit = 1", by: "unit = 300\nfoo = 1").replacing(
                "\"relay\"", with: "\"relai\"")
        ])
        let bad = try #require(result.plan?.links.first)
        #expect(bad.driver == "relai" && bad.module == nil)
        #expect(bad.problems.count == 1)
        #expect(bad.problems.first?.hasSuffix("did you mean \"relay\"?") == true)
        #expect(bad.controllers.map(\.id) == ["wall"])
        #expect(bad.controllers.first?.lockers.map(\.id) == [101, 102, 103, 104])
    }

    @Test func `with a name that is none is faulted`() async throws {
        let result = try await TestSite.load(["links.d/Yard 1.toml": ""])
        #expect(
            result.texts.first
                == "links.d/Yard 1.toml:1: the file's name names the link; want a name of a-z, 0-9, _ and -, at most 32 long"
        )
        #expect(result.plan?.links.count == 2)
    }

    @Test func `does not keep rules from naming what it would bring`() async throws {
        let result = try await TestSite.load([
            "lockerd.toml":
                "\(TestSite.lockerd)\n[[control.rule]]\nrights = [\"view\"]\ncontrollers = [\"wall\"]",
            "links.d/a.toml": "driver = ",
        ])
        #expect(result.plan != nil)
    }

    @Test func `has at most a hundred problems listed, the rest counted`() async throws {
        let keys = (0..<300).map { "key\($0) = 1" }.joined(separator: "\n")
        let result = try await TestSite.load(["links.d/a.toml": "\(keys)\n\(TestSite.link)"])
        #expect(result.problems.count == ConfigLimits.problemsPerFile + 1)
        #expect(result.problems.last?.message == "200 more problems are not listed")
    }

    @Test func `is not read beyond the limit of controllers`() async throws {
        let controllers = (1...248).map {
            "[[controller]]\nid = \"c\($0)\"\nlockers = 1\nfirst_id = \($0)\nunit = 1\n"
        }
        let text = "driver = \"relay\"\nlink.host = \"h\"\n" + controllers.joined()
        let result = try await TestSite.load(["links.d/a.toml": text])
        #expect(result.texts.first?.hasSuffix("248 controllers; want at most 247") == true)
    }

    @Test func `cannot bring more lockers than a site may have`() async throws {
        var files: [String: String] = ["links.d/z.toml": full(host: "z", 129...129)]
        for link in 0..<16 {
            let name = link == 0 ? "a" : "l\(link)"
            files["links.d/\(name).toml"] = full(host: name, link * 8 + 1...link * 8 + 8)
        }
        let result = try await TestSite.load(files)
        #expect(
            result.texts == [
                "links.d/z.toml:5: controller \"c129\" brings the site above 65536 lockers"
            ])
        let lockers = result.plan?.links.flatMap(\.controllers).map(\.lockers.count)
        #expect(lockers?.reduce(0, +) == 65_536)
    }

    @Test func `takes the lockers that a link may have, and not one more`() async throws {
        let text = full(host: "h", 1...8)
        #expect(try await TestSite.load(["links.d/a.toml": text]).texts == [])
        let one = "[[controller]]\nid = \"d\"\nlockers = 1\nfirst_id = 9\nunit = 99\n"
        let result = try await TestSite.load(["links.d/a.toml": text + one])
        #expect(
            result.texts == [
                "links.d/a.toml:45: controller \"d\" brings the link above 4096 lockers"
            ])
        let lockers = result.plan?.links[0].controllers.map(\.lockers.count)
        #expect(lockers?.reduce(0, +) == ConfigLimits.lockersPerLink)
    }

    /// A link whose controllers have as many lockers as each may have.
    private func full(host: String, _ controllers: ClosedRange<Int>) -> String {
        "driver = \"relay\"\nlink.host = \"\(host)\"\n"
            + controllers.map {
                "[[controller]]\nid = \"c\($0)\"\nlockers = 512\nfirst_id = \($0 * 512)\nunit = \($0)\n"
            }.joined()
    }
}

@Suite struct `Two link files` {
    private func second(_ changes: [(String, String)]) -> String {
        changes.reduce(TestSite.link) { $0.replacing($1.0, with: $1.1) }
    }

    @Test func `cannot have one controller id`() async throws {
        let result = try await TestSite.load([
            "links.d/b.toml": second([("101", "201"), ("10.0.0.1", "10.0.0.2")])
        ])
        #expect(
            result.texts == [
                "links.d/a.toml:5: controller.id is \"wall\", which links.d/b.toml:5 claims too",
                "links.d/b.toml:5: controller.id is \"wall\"; links.d/a.toml:5 has it already",
            ])
        // Nobody knows whose wall/1 is meant, so neither may open.
        #expect(result.plan?.links.map(\.problems.count) == [1, 1])
        #expect(result.plan?.links[1].controllers.isEmpty == true)
    }

    @Test func `cannot have one locker id`() async throws {
        let result = try await TestSite.load([
            "links.d/b.toml": second([("wall", "hall"), ("101", "103"), ("10.0.0.1", "10.0.0.2")])
        ])
        #expect(
            result.texts == [
                "links.d/a.toml:7: controller \"wall\" has locker 103-104, which controller \"hall\" (links.d/b.toml:7) claims too",
                "links.d/b.toml:7: controller \"hall\" overlaps controller \"wall\" (links.d/a.toml:7): both have locker 103-104",
            ])
        #expect(result.plan?.links[0].controllers[0].lockers.count == 4)
        #expect(result.plan?.links[1].controllers[0].lockers.map(\.id) == [105, 106])
    }

    @Test func `dispute lockers also of a controller whose own id is disputed`() async throws {
        let result = try await TestSite.load([
            "links.d/b.toml": second([("101", "201"), ("10.0.0.1", "10.0.0.2")]),
            "links.d/c.toml": second([
                ("wall", "annex"), ("101", "201"), ("10.0.0.1", "10.0.0.3"),
            ]),
        ])
        #expect(result.plan?.links.allSatisfy { !$0.problems.isEmpty } == true)
    }

    @Test func `cannot go to one endpoint`() async throws {
        let result = try await TestSite.load([
            "links.d/b.toml": second([("wall", "hall"), ("101", "201")])
        ])
        #expect(
            result.texts == [
                "links.d/b.toml:2: link goes to host = \"10.0.0.1\", port = 502 as links.d/a.toml does; want one link for each"
            ])
    }

    @Test func `may go to two ports of one host`() async throws {
        let result = try await TestSite.load([
            "links.d/b.toml": second([
                ("wall", "hall"), ("101", "201"), ("host", "port = 503\nhost"),
            ])
        ])
        #expect(result.texts == [])
    }
}

/// A link that runs from a file that is still the same is not ended by a file that comes to it.
@Suite struct `A file that comes beside a running link` {
    @Test(arguments: [
        // The same locker ids, controller id, endpoint.
        [("wall", "hall"), ("10.0.0.1", "10.0.0.2")],
        [("101", "201"), ("10.0.0.1", "10.0.0.2")],
        [("wall", "hall"), ("101", "201")],
    ])
    func `is at fault in every clash whatever its name`(changes: [(String, String)]) async throws {
        try await TestSite.with(["links.d/m.toml": TestSite.link]) { site in
            try FileManager.default.removeItem(atPath: "\(site.directory)/links.d/a.toml")
            let running = try #require(site.load().plan?.links)
            let text = changes.reduce(TestSite.link) { $0.replacing($1.0, with: $1.1) }
            try site.write(["links.d/a.toml": text])
            let plan = try #require(site.load(running: running).plan)
            #expect(plan.links.map(\.name) == ["a", "m"])
            #expect(plan.links[1] == running[0])
            #expect(plan.links[0].problems.count == 1)
            #expect(plan.links[0].problems.first?.contains("links.d/m.toml") == true)
        }
    }

    @Test func `has no better claim than a running one that changes with it`() async throws {
        try await TestSite.with { site in
            let running = try #require(site.load().plan?.links)
            try site.write([
                "links.d/a.toml": TestSite.link.replacing("lockers = 4", with: "lockers = 6"),
                "links.d/b.toml": TestSite.link.replacing("wall", with: "hall")
                    .replacing("101", with: "105").replacing("10.0.0.1", with: "10.0.0.2"),
            ])
            let plan = try #require(site.load(running: running).plan)
            #expect(plan.links.map(\.problems.count) == [1, 1])
        }
    }
}

@Suite struct `Two controllers of a link` {
    private func both(_ second: String) -> String {
        TestSite.link + "\n[[controller]]\n" + second
    }

    @Test func `cannot have one unit`() async throws {
        let result = try await TestSite.load([
            "links.d/a.toml": both("id = \"hall\"\nlockers = 2\nfirst_id = 201\nunit = 1")
        ])
        #expect(
            result.texts == [
                "links.d/a.toml:15: controller.unit is 1; controller \"wall\" (line 8) has it already"
            ])
    }

    @Test func `cannot have one id or one locker id`() async throws {
        let result = try await TestSite.load([
            "links.d/a.toml": both(
                "id = \"wall\"\nlockers = 2\nfirst_id = 104\nunit = 2\n[[controller]]\nid = \"c\"\nlockers = 2\nfirst_id = 104\nunit = 3"
            )
        ])
        #expect(
            result.texts == [
                "links.d/a.toml:12: controller.id is \"wall\"; links.d/a.toml:5 has it already",
                "links.d/a.toml:14: controller \"wall\" overlaps controller \"wall\" (links.d/a.toml:7): both have locker 104",
                "links.d/a.toml:19: controller \"c\" overlaps controller \"wall\" (links.d/a.toml:14): both have locker 105",
                "links.d/a.toml:19: controller \"c\" overlaps controller \"wall\" (links.d/a.toml:7): both have locker 104",
            ])
    }
}
