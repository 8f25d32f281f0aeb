import ArgumentParser
import ControlClient

struct CompletionVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "completion",
        abstract: "Print a completion script for a shell.",
        discussion: """
            For bash: lockerctl completion bash > /etc/bash_completion.d/lockerctl
            """)

    enum Shell: String, ExpressibleByArgument, CaseIterable {
        case bash, zsh, fish
    }

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The shell.")
    var shell: Shell

    func execute() throws {
        let kind: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        Output.text(Lockerctl.completionScript(for: kind) + "\n")
    }
}

/// Names of the running site for the shell's completion; nothing when the daemon cannot be asked.
enum Completions {
    static let lockers = CompletionKind.custom { words, _, _ in
        await status(words)?.lockers.map(\.address) ?? []
    }

    static let controllers = CompletionKind.custom { words, _, _ in
        await status(words)?.controllers.map(\.id) ?? []
    }

    static let banks = CompletionKind.custom { words, _, _ in
        Set(await status(words)?.lockers.compactMap(\.bank) ?? []).sorted()
    }

    private static func status(_ words: [String]) async -> SiteStatus? {
        let path = socket(words) ?? Environment.value("LOCKERD_SOCKET")
        // Whoever presses the tab key wants names or silence, not an error.
        guard let client = try? await ControlClient.connect(to: path ?? ControlClient.defaultSocket)
        else { return nil }
        return try? await client.status()
    }

    /// The socket that the words typed so far name.
    private static func socket(_ words: [String]) -> String? {
        if let word = words.last(where: { $0.hasPrefix("--socket=") }) {
            return String(word.dropFirst("--socket=".count))
        }
        guard let option = words.lastIndex(of: "--socket"), option + 1 < words.count else {
            return nil
        }
        return words[option + 1]
    }
}
