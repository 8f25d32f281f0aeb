import ArgumentParser
import ControlClient
import JSONLines

struct ReloadVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have lockerd read its configuration again.",
        discussion: "Links whose file did not change go on undisturbed.")

    @OptionGroup var global: GlobalOptions

    func execute() async throws {
        let session = try await Session.start(global)
        let reply = try await session.attempt { client throws(ControlError) in
            try await client.reload()
        }
        if global.json { Output.line(reply.text) }
        let kinds = ["added", "removed", "changed", "unchanged", "faulted"]
        let links = kinds.map { kind in
            (kind, (reply.result[kind]?.arrayValue ?? []).map { $0.stringValue ?? $0.text })
        }
        if !global.json {
            for (kind, names) in links where !names.isEmpty && kind != "faulted" {
                Output.line("\(kind): \(names.joined(separator: ", "))")
            }
            if links.allSatisfy(\.1.isEmpty) { Output.line("read again") }
        }
        let problems = (reply.result["problems"]?.arrayValue ?? []).compactMap(\.stringValue)
        let list = problems.map { "\n  \($0)" }.joined()
        if let faulted = links.last?.1, !faulted.isEmpty {
            throw Failure(
                .failed,
                "\(Words.count(faulted.count, "link")) cannot be used: "
                    + faulted.joined(separator: "; ")
                    + "; correct the file and reload again" + (list.isEmpty ? "" : ":\(list)"))
        }
        if !list.isEmpty, !global.json {
            Output.error("lockerctl: read again, but not all of it is right:\(list)")
        }
    }
}
