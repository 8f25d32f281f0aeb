import Foundation
import JSONLines
import LockerKit
import SiteModel
import TestSupport
import Testing

@Suite struct `golden conversations` {
    @Test(arguments: try GoldenConversation.all())
    func `the daemon says what the conversation says`(conversation: GoldenConversation) async throws
    {
        let isLimited = conversation.text.contains("# given: the rule")
        try await ServedSite.with(
            rules: isLimited ? Self.kioskRule : [], owners: isLimited ? [] : [0, getuid()]
        ) { served in
            let client = try await served.client()
            var matcher = GoldenMatcher()
            for turn in conversation.turns {
                for scene in turn.given { try await set(scene, served) }
                for line in turn.sent { try await client.send(matcher.filled(line)) }
                var expected = turn.expected
                for _ in turn.expected {
                    let came = try await client.json()
                    // Notifications keep their order among themselves.
                    let next = expected.firstIndex {
                        came["method"] == nil
                            ? matcher.matches($0, came) : $0["method"] == came["method"]
                    }
                    guard let next, matcher.matches(expected[next], came) else {
                        Issue.record(
                            "\(conversation.name): came \(came.text); want one of \(expected.map(\.text))"
                        )
                        return
                    }
                    expected.remove(at: next)
                }
            }
            // Nothing came beyond what is told: the next reply is that of the next request.
            #expect(try await client.call("version", id: 4711)["id"] == 4711)
        }
    }

    @Test(arguments: try GoldenConversation.all())
    func `the document quotes the conversation word for word`(conversation: GoldenConversation)
        throws
    {
        let document = try String(
            contentsOfFile: "\(Checkout.root)/docs/protocol.md", encoding: .utf8)
        #expect(document.contains("```\n\(conversation.text)```\n"), "\(conversation.name)")
    }

    @Test func `there are conversations to replay`() throws {
        #expect(try GoldenConversation.all().count >= 12)
    }

    private static let kioskRule = [
        AccessRule(
            name: "control.rule[0] (everybody)", rights: [.view, .operate], banks: ["west"])
    ]

    /// The scenes that conversations ask for, in their words.
    private func set(_ scene: String, _ served: ServedSite) async throws {
        switch scene {
        case "wall/2 jams": served.wall.jam(2)
        case "the board of wall/4 does not answer":
            served.wall.fail(
                4, with: LockerError(.linkDown, "no connection to 192.0.2.7:502", fired: .no))
        case "the board of cellar/1 does not answer":
            served.connector.boards["cellar"]?.fail(
                1, with: LockerError(.linkDown, "no connection to 192.0.2.8:502", fired: .no))
        case "the board's answer for wall/5 is lost":
            served.wall.fail(
                5,
                with: LockerError(
                    .timedOut, "unit 1 did not answer coil 5 within 500 ms", fired: .unknown,
                    sent: .yes))
        case "the lock of wall/1 is being fired for a long time": served.wall.hold()
        case "each lock may fire twice a minute":
            await served.site.reloadAndWait(
                served.plan.changing { controller in
                    for index in controller.lockers.indices {
                        controller.lockers[index].coil.opensPerMinute = 2
                    }
                })
        case "somebody pulls the door of wall/4 open":
            // The board's own doing: nothing of it goes through the daemon.
            _ = try await served.wall.open(
                OpenCommand(locker: 4, pulse: .zero, token: nil, deadline: nil))
        case "a door may stand open for 100 ms, and two pulses without a movement are suspicious":
            var plan = served.plan
            plan.doors.held = .milliseconds(100)
            plan.doors.suspectPulses = 2
            await served.site.reloadAndWait(plan)
        case "the rule gives everybody view and operate for bank west": break
        default: throw Timeout(description: "no scene \"\(scene)\"")
        }
    }
}
