import Foundation
import JSONLines
import TestSupport
import Testing

/// The golden conversations, held with real processes: the simulator and the Python example.
@Suite struct ModuleConversations {
    private static let python = "\(Checkout.root)/examples/python-driver/driver.py"

    @Test(arguments: ModuleUnderTest.Transport.allCases)
    func `the simulator says what the protocol's description says`(
        transport: ModuleUnderTest.Transport
    ) async throws {
        for name in ["driver", "refusals"] {
            try await hold(name, with: ModuleUnderTest.simulator(over: transport))
        }
    }

    @Test(arguments: ModuleUnderTest.Transport.allCases)
    func `a driver in Python holds the same conversation`(
        transport: ModuleUnderTest.Transport
    ) async throws {
        try await hold("driver", with: ModuleUnderTest(Self.python, over: transport))
    }

    @Test func `the Python driver ends on SIGTERM`() async throws {
        let module = try ModuleUnderTest(Self.python)
        _ = try await module.peer.call(1, "hello", ModuleUnderTest.hello)
        kill(module.pid, SIGTERM)
        #expect(try await module.exitStatus() == 0)
    }

    @Test func `the description quotes the golden conversations`() throws {
        let description = try String(
            contentsOfFile: "\(Checkout.root)/docs/module-protocol.md", encoding: .utf8)
        for name in ["driver", "refusals"] {
            let text = try Conversation(name).text
            #expect(description.contains("```\n\(text)```"), "\(name).jsonl is not quoted in full")
        }
    }

    private func hold(_ name: String, with module: ModuleUnderTest) async throws {
        let conversation = try Conversation(name)
        for (said, answer) in conversation.turns {
            module.peer.send(said)
            guard let answer else { continue }
            let came = try await module.peer.next()
            #expect(
                Conversation.comparable(came) == Conversation.comparable(answer),
                "\(name): to \(said) came \(came.text)")
        }
        module.peer.closeOutput()
        #expect(try await module.exitStatus() == 0)
        #expect(try module.peer.takeAll().isEmpty)
    }
}
