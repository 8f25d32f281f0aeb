import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

@Suite struct `A good site` {
    @Test func `gives a plan and no problem`() async throws {
        let result = try await TestSite.load()
        #expect(result.texts == [])
        let plan = try #require(result.plan)
        #expect(plan.site == "test")
        #expect(plan.supplyGroups == ["main": SupplyGroup(atOnce: 2, gap: .milliseconds(250))])
        #expect(plan.control == ControlPlan())
        #expect(plan.doors == DoorPlan() && plan.stateDirectory == nil)
        #expect(plan.heartbeat == HeartbeatPlan(every: .seconds(30)))
        #expect(plan.links.map(\.name) == ["a"])
    }

    @Test func `has every default filled in`() async throws {
        let link = try #require(try await TestSite.load().plan?.links.first)
        #expect(link.driver == "relay")
        #expect(link.module?.executable == "relay-module")
        #expect(link.module?.maturity == "beta")
        #expect(link.module?.directory.hasSuffix("/modules/relay") == true)
        #expect(link.options == ["host": "10.0.0.1", "port": 502, "speed": "slow"])
        let controller = try #require(link.controllers.first)
        #expect(
            controller
                == ControllerPlan(
                    id: "wall", bank: "main", supplyGroup: "main", options: ["unit": 1],
                    lockers: (1...4).map {
                        LockerPlan(id: 100 + $0, number: $0, options: ["delay_ms": 10])
                    }))
    }

    @Test func `takes every key of a controller and a locker`() async throws {
        let result = try await TestSite.load([
            "links.d/a.toml": """
            driver = "relay"
            link = { host = "h", speed = "fast", boost = 1 }
            [[controller]]
            id = "wall"
            lockers = 3
            first_id = 1
            unit = 9
            poll_ms = 1000
            door_wait_ms = 0
            pulse_ms = 300
            sensors = false
            [[controller.locker]]
            number = 2
            id = 77
            name = "B 2"
            sensor = true
            type = "large"
            open_all = false
            pulse_ms = 400
            delay_ms = 5
            """
        ])
        #expect(result.texts == [])
        let link = try #require(result.plan?.links.first)
        #expect(link.options == ["host": "h", "port": 502, "speed": "fast", "boost": 1])
        let controller = try #require(link.controllers.first)
        #expect(controller.bank == nil && controller.supplyGroup == nil)
        #expect(controller.poll == .milliseconds(1000))
        #expect(controller.staleAfter == .milliseconds(4000))
        #expect(controller.doorWait == .zero)
        #expect(controller.lockers.map(\.id) == [1, 77, 3])
        #expect(controller.lockers.map(\.hasSensor) == [false, true, false])
        #expect(
            controller.lockers[1]
                == LockerPlan(
                    id: 77, number: 2, name: "B 2", type: "large", inOpenAll: false,
                    pulse: .milliseconds(400), options: ["delay_ms": 5]))
        #expect(controller.lockers[0].pulse == .milliseconds(300))
    }

    @Test func `takes every key of lockerd.toml`() async throws {
        let result = try await TestSite.load([
            "t.token": "t",
            "lockerd.toml": """
            site = "depot 17"
            state = "/var/lib/lockerd"
            module_dirs = ["../modules", "/opt/modules"]
            [control]
            socket = "/tmp/x.sock"
            group = 50
            max_clients = 9
            [[control.rule]]
            users = ["kiosk", 7]
            rights = ["view", "open-all"]
            controllers = ["wall"]
            [[control.rule]]
            groups = ["staff"]
            rights = ["configure"]
            banks = ["main"]
            [[control.rule]]
            rights = ["view"]
            [power.main]
            at_once = 64
            gap_ms = 0
            [doors]
            late_ms = 1000
            held_ms = 2000
            suspect_pulses = 3
            suspect_flips = 4
            suspect_window_ms = 5000
            [coil]
            duty_percent = 50
            [type.screen]
            always_out_of_service = true
            [heartbeat]
            every_s = 1
            [[uplink]]
            module = "post"
            url = "http://a"
            token_file = "t.token"
            [[uplink]]
            module = "post"
            name = "second"
            url = "http://b"
            token_file = "/dev/null"
            """,
        ])
        #expect(result.texts == [])
        let plan = try #require(result.plan)
        #expect(plan.site == "depot 17")
        #expect(plan.stateDirectory == "/var/lib/lockerd")
        #expect(
            plan.doors
                == DoorPlan(
                    late: .seconds(1), held: .seconds(2), suspectPulses: 3, suspectFlips: 4,
                    suspectWindow: .seconds(5)))
        #expect(plan.moduleDirectories.last == "/opt/modules")
        #expect(plan.moduleDirectories.first?.hasSuffix("/etc/../modules") == true)
        #expect(plan.control.socket == "/tmp/x.sock" && plan.control.group == "50")
        #expect(plan.control.maximumClients == 9)
        #expect(
            plan.control.rules == [
                AccessRule(
                    name: "control.rule[0] (user kiosk, user 7)", uids: [1001, 7],
                    rights: [.view, .openAll], controllers: ["wall"]),
                AccessRule(
                    name: "control.rule[1] (group staff)", gids: [50], rights: [.configure],
                    banks: ["main"]),
                AccessRule(name: "control.rule[2] (everybody)", rights: [.view]),
            ])
        #expect(plan.uplinks.map(\.name) == ["post", "second"])
        #expect(
            plan.uplinks[0].options["token_file"]?.stringValue?.hasSuffix("/etc/t.token") == true)
        #expect(plan.uplinks[1].options == ["url": "http://b", "token_file": "/dev/null"])
    }

    @Test func `gives equal plans for equal files`() async throws {
        try await TestSite.with(["links.d/b.toml": "driver = 1"]) { site in
            let first = site.load()
            let second = site.load()
            #expect(first.plan == second.plan)
            #expect(first.problems == second.problems)
        }
    }

    @Test func `may have no links at all, which is told`() async throws {
        try await TestSite.with { site in
            try removeItem("\(site.directory)/links.d")
            let advice =
                "links.d:1: no link file, so the site has no lockers; want NAME.toml for each link"
            let result = site.load()
            #expect(result.texts == [advice])
            #expect(result.problems.map(\.isAdvice) == [true])
            #expect(result.plan?.links == [])
            try site.write(["links.d/yard.conf": "x", "links.d/b.toml.example": "x"])
            #expect(site.load().texts == ["\(advice); ignored: b.toml.example, yard.conf"])
            #expect(site.load().plan?.links == [])
        }
    }

    @Test func `ignores what is no link file`() async throws {
        let result = try await TestSite.load([
            "links.d/.hidden.toml": "x", "links.d/notes.txt": "x", "links.d/b.toml.example": "x",
            "links.d/b.toml~": "x",
        ])
        #expect(result.texts == [])
        #expect(result.plan?.links.map(\.name) == ["a"])
    }
}

@Suite struct `A bad lockerd.toml` {
    static let mistakes: [Mistake] = [
        Mistake("", "lockerd.toml:1: site is missing; want one line of text, at most 64 bytes"),
        Mistake("site = 5", "lockerd.toml:1: site is 5; want one line of text, at most 64 bytes"),
        Mistake(
            "site = 2026-01-01",
            "lockerd.toml:1: site is a date or time; want one line of text, at most 64 bytes"),
        Mistake(
            "site = \"s\"\n[control]\nsockett = \"/x\"",
            "lockerd.toml:3: control: unknown key \"sockett\"; did you mean \"socket\"?"
        ),
        Mistake(
            "sitte = \"s\"\nsite = \"s\"",
            "lockerd.toml:1: unknown key \"sitte\"; did you mean \"site\"?"),
        Mistake(
            "site = \"s\"\nzebra = 1",
            "lockerd.toml:2: unknown key \"zebra\"; known: site, state, module_dirs, control, power, doors, coil, type, heartbeat, uplink"
        ),
        Mistake(
            "site = \"s\"\n[control]\nmax_clients = 0",
            "lockerd.toml:3: control.max_clients is 0; want 1-4096"),
        Mistake(
            "site = \"s\"\n[control]\nmax_clients = 4097",
            "lockerd.toml:3: control.max_clients is 4097; want 1-4096"),
        Mistake(
            "site = \"s\"\n[control]\nmax_clients = \"9\"",
            "lockerd.toml:3: control.max_clients is a string; want 1-4096"),
        Mistake(
            "site = \"s\"\n[control]\nsocket = \"x.sock\"",
            "lockerd.toml:3: control.socket is \"x.sock\"; want an absolute path of at most 107 bytes"
        ),
        Mistake(
            "site = \"s\"\n[[control.rule]]\nrights = [\"open\"]",
            "lockerd.toml:3: control.rule.rights[0] is \"open\"; want \"view\", \"operate\", \"open-all\", \"maintenance\" or \"configure\""
        ),
        Mistake(
            "site = \"s\"\n[[control.rule]]\nrights = []",
            "lockerd.toml:3: control.rule.rights has 0 entries; want at least 1"),
        Mistake(
            "site = \"s\"\n[power.main]\nat_once = 65\ngap_ms = 0",
            "lockerd.toml:3: power.main.at_once is 65; want 1-64"),
        Mistake(
            "site = \"s\"\n[power.\"Bad Name\"]\nat_once = 1\ngap_ms = 0",
            "lockerd.toml:2: power.\"Bad Name\" is no name for a supply group; want a name of a-z, 0-9, _ and -, at most 32 long"
        ),
        Mistake("site = \"s\"\n[power]\nmain = 3", "lockerd.toml:3: power.main is 3; want a table"),
        Mistake(
            "site = \"s\"\n[heartbeat]\nevery_s = 86401",
            "lockerd.toml:3: heartbeat.every_s is 86401; want 1-86400"),
        Mistake("uplink = 3\nsite = \"s\"", "lockerd.toml:1: uplink is 3; want [[uplink]] tables"),
        Mistake("site = \"s\"\nsite = \"t\"", "lockerd.toml:2: not TOML:"),
        Mistake("site = \"s\"\n[control\n", "lockerd.toml:2: not TOML:"),
    ]

    @Test(arguments: mistakes) func `says what and where`(mistake: Mistake) async throws {
        // The links of the small site want [power.main].
        let power =
            mistake.text.contains("[power") ? "" : "\n[power.main]\nat_once = 1\ngap_ms = 0\n"
        let result = try await TestSite.load(["lockerd.toml": mistake.text + power])
        #expect(result.plan == nil)
        #expect(result.texts.contains { $0.hasPrefix(mistake.problem) }, "\(result.texts)")
    }

    @Test func `tells everything at once, in the order of the file`() async throws {
        let result = try await TestSite.load([
            "lockerd.toml":
                "sit = 1\n[control]\nmax_clients = 0\nsokcet = 1\n[power.main]\nat_once = 0\n"
        ])
        #expect(
            result.problems.filter { $0.file == "lockerd.toml" }.map(\.line) == [1, 1, 3, 4, 5, 6])
    }

    @Test func `that is missing names the whole path`() async throws {
        let result = SiteLoader(directory: "/nonexistent/etc", moduleDirectories: []).load()
        #expect(result.plan == nil)
        #expect(
            result.texts == [
                "lockerd.toml:1: /nonexistent/etc/lockerd.toml cannot be read: no such file or directory"
            ])
    }

    @Test func `still has its links checked`() async throws {
        let result = try await TestSite.load([
            "lockerd.toml": "site = 1", "links.d/a.toml": "driver = \"relay\"",
        ])
        #expect(Set(result.problems.map(\.file)) == ["lockerd.toml", "links.d/a.toml"])
    }

    @Test func `with two uplinks of one name is refused at the second`() async throws {
        let uplink = "[[uplink]]\nmodule = \"post\"\nurl = \"u\"\n"
        let result = try await TestSite.load([
            "lockerd.toml": "\(TestSite.lockerd)\n\(uplink)\(uplink)"
        ])
        #expect(
            result.texts == [
                "lockerd.toml:8: uplink.name is \"post\"; the uplink of line 5 has it already"
            ])
        #expect(result.plan?.uplinks.map(\.name) == ["post"])
    }

    @Test func `never shows what stands in a wrongly typed string`() async throws {
        let result = try await TestSite.load([
            "lockerd.toml":
                "\(TestSite.lockerd)\n[[uplink]]\nmodule = \"post\"\nurl = [\"s3cret\"]\n[heartbeat]\nevery_s = \"s3cret\""
        ])
        #expect(result.problems.count == 2)
        #expect(!result.texts.joined().contains("s3cret"))
    }
}
