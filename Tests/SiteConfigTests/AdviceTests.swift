import JSONLines
import SiteModel
import TestSupport
import Testing

@testable import SiteConfig

@Suite struct `Advice about lockerd.toml` {
    @Test(arguments: [
        (
            "banks = [\"mian\"]",
            "banks has \"mian\"; no link has such a bank; did you mean \"main\"?"
        ),
        ("controllers = [\"depot\"]", "controllers has \"depot\"; no link has such a controller"),
    ])
    func `about a rule that grants nothing leaves the plan whole`(
        names: String, problem: String
    ) async throws {
        let rule = "[[control.rule]]\nrights = [\"view\"]\n\(names)"
        let result = try await TestSite.load(["lockerd.toml": "\(TestSite.lockerd)\n\(rule)"])
        #expect(result.texts == ["lockerd.toml:7: control.rule.\(problem)"])
        #expect(result.problems.map(\.isAdvice) == [true])
        #expect(result.plan?.control.rules.count == 1)
        #expect(result.plan?.links.map(\.problems) == [[]])
    }

    @Test func `about the socket's group leaves it to the socket to fail`() async throws {
        let control = "[control]\ngroup = \"nobody-here\""
        let result = try await TestSite.load(["lockerd.toml": "\(TestSite.lockerd)\n\(control)"])
        #expect(
            result.texts == [
                "lockerd.toml:6: control.group is \"nobody-here\"; want a group that this machine knows"
            ])
        #expect(result.plan?.control.group == "nobody-here")
    }

    @Test func `about an uplink's files names the path and the reason`() async throws {
        try await TestSite.with { site in
            func load(_ file: String) throws -> LoadResult {
                let uplink = "[[uplink]]\nmodule = \"post\"\nurl = \"u\"\ntoken_file = \"\(file)\""
                try site.write(["lockerd.toml": "\(TestSite.lockerd)\n\(uplink)"])
                return site.load()
            }
            let reasons = [
                "gone": "no such file or directory", "links.d": "is a directory",
                "lockerd.toml/x": "not a directory",
            ]
            for (file, reason) in reasons {
                let result = try load(file)
                #expect(
                    result.texts == [
                        "lockerd.toml:8: uplink.token_file: \(site.directory)/\(file) cannot be read: \(reason)"
                    ])
                #expect(result.plan?.uplinks.map(\.name) == ["post"])
            }
            #expect(try load("links.d/a.toml").texts == [])
        }
    }

    @Test func `does not cover up a mistake beside it, nor one past the limit`() async throws {
        let names = (0..<150).map { "\"h\($0)\"" }.joined(separator: ", ")
        let rule = "[[control.rule]]\nrights = [\"view\"]\ncontrollers = [\(names)]\n"
        let advice = try await TestSite.load(["lockerd.toml": "\(TestSite.lockerd)\n\(rule)"])
        #expect(advice.problems.count == ConfigLimits.problemsPerFile + 1)
        #expect(advice.plan != nil)
        let both = try await TestSite.load([
            "lockerd.toml": "\(TestSite.lockerd)\n\(rule)[heartbeat]\nevery_s = 0"
        ])
        #expect(both.plan == nil)
    }

    @Test func `counts as a mistake when a mistake is among what is not listed`() {
        var findings = Findings(file: "f")
        for index in 0..<ConfigLimits.problemsPerFile + 1 {
            findings.add([], isAdvice: true, "advice \(index)")
        }
        #expect(findings.sorted.allSatisfy { $0.isAdvice })
        findings.add([], "mistake")
        #expect(findings.sorted.map(\.isAdvice).last == false)
    }
}

/// Monitoring that is broken must keep no door shut.
@Suite struct `A bad uplink` {
    static let mistakes: [Mistake] = [
        Mistake(
            "url = \"u\"",
            "lockerd.toml:5: uplink.module is missing; want a name of a-z, 0-9, _ and -, at most 32 long"
        ),
        Mistake(
            "module = 5\nurl = \"u\"",
            "lockerd.toml:6: uplink.module is 5; want a name of a-z, 0-9, _ and -, at most 32 long"
        ),
        Mistake(
            "module = \"post\"\nurll = \"u\"",
            "lockerd.toml:5: uplink.url is missing; want a string"),
        Mistake(
            "module = \"post\"\nurl = \"u\"\nurll = \"u\"",
            "lockerd.toml:8: uplink: unknown key \"urll\"; did you mean \"url\"?"),
        Mistake("module = \"post\"\nurl = 5", "lockerd.toml:7: uplink.url is 5; want a string"),
        Mistake(
            "module = \"relay\"",
            "lockerd.toml:6: uplink.module is \"relay\", which is of kind driver; want uplink"),
        Mistake(
            "module = \"pots\"", "lockerd.toml:6: uplink.module is \"pots\"; no such module: "),
        Mistake(
            "module = \"broken\"",
            "lockerd.toml:6: uplink.module is \"broken\"; its module.toml cannot be used"),
    ]

    @Test(arguments: mistakes)
    func `is told and left out, and the site serves`(mistake: Mistake) async throws {
        let good = "[[uplink]]\nmodule = \"post\"\nname = \"good\"\nurl = \"u\"\n"
        let result = try await TestSite.load([
            "lockerd.toml": "\(TestSite.lockerd)\n[[uplink]]\n\(mistake.text)\n\(good)",
            "../modules/broken/module.toml": "name = 3",
        ])
        #expect(result.texts.contains { $0.hasPrefix(mistake.problem) }, "\(result.texts)")
        #expect(result.problems.allSatisfy { $0.isAdvice })
        let plan = try #require(result.plan)
        #expect(plan.links.map(\.problems) == [[]])
        #expect(plan.uplinks.count == 2)
        #expect(plan.uplinks[0].module == nil)
        #expect(plan.uplinks[0].problem?.hasPrefix(mistake.problem) == true)
        #expect(plan.uplinks[1].name == "good")
        #expect(plan.uplinks[1].module != nil && plan.uplinks[1].problem == nil)
    }

    @Test func `does not cover up what stops the start`() async throws {
        let result = try await TestSite.load([
            "lockerd.toml":
                "\(TestSite.lockerd)\n[[uplink]]\nmodule = \"pots\"\n[heartbeat]\nevery = 1"
        ])
        #expect(result.plan == nil)
        #expect(result.problems.map(\.isAdvice) == [true, false])
    }
}

@Suite struct `A rule for somebody whom the machine does not know` {
    private func rule(_ who: String) async throws -> (LoadResult, AccessRule?) {
        let rule = "[[control.rule]]\n\(who)\nrights = [\"view\", \"operate\"]"
        let result = try await TestSite.load(["lockerd.toml": "\(TestSite.lockerd)\n\(rule)"])
        return (result, result.plan?.control.rules.first)
    }

    @Test func `still gives to those whom it knows`() async throws {
        let (result, rule) = try await rule("users = [\"kiosk\", \"kisk\", 7]")
        #expect(
            result.texts == [
                "lockerd.toml:6: control.rule.users[1] is \"kisk\"; want a user that this machine knows"
            ])
        #expect(result.problems.map(\.isAdvice) == [true])
        #expect(rule?.uids == [1001, 7])
        #expect(rule?.strangers == ["user kisk"])
        #expect(rule?.isForEverybody == false)
    }

    @Test(arguments: ["users = [\"kisk\"]", "groups = [\"stuff\"]"])
    func `never becomes a rule for everybody`(who: String) async throws {
        let (result, rule) = try await rule(who)
        #expect(result.problems.map(\.isAdvice) == [true])
        #expect(rule?.uids == [] && rule?.gids == [])
        #expect(rule?.isForEverybody == false)
    }
}
