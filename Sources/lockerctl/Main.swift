import ArgumentParser
import ControlWire
import Glibc

/// Parses, runs the verb on the main thread, and turns whatever ended it into the exit codes of the manual page.
///
/// Verbs run on the main actor because they may block in a write to a terminal or a pipe, which must never happen on a
/// thread of the concurrency pool.
@main
enum Main {
    @MainActor
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        unblockSignals()
        do {
            var command = try await Lockerctl.asyncParseAsRoot()
            if let verb = command as? any Verb {
                try await verb.execute()
            } else if command is Lockerctl {
                Output.errorText(Lockerctl.helpMessage() + "\n")
                exit(ExitStatus.usage.rawValue)
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            if let message = failure.message { Output.error("lockerctl: \(message)") }
            exit(failure.status.rawValue)
        } catch {
            leave(after: error)
        }
        exit(ExitStatus.success.rawValue)
    }

    /// Makes Ctrl-C work also for a parent that blocked it, as programs with thread pools do unawares.
    private static func unblockSignals() {
        var wanted = sigset_t()
        sigemptyset(&wanted)
        sigaddset(&wanted, SIGINT)
        sigaddset(&wanted, SIGTERM)
        pthread_sigmask(SIG_UNBLOCK, &wanted, nil)
    }

    /// Help and usage errors, as the argument parser words them.
    private static func leave(after error: any Error) -> Never {
        let message = Lockerctl.fullMessage(for: error)
        if Lockerctl.exitCode(for: error).isSuccess {
            Output.text(message.isEmpty ? "" : message + "\n")
            exit(ExitStatus.success.rawValue)
        }
        if let verb = unknownVerb() {
            Output.error("lockerctl: \(verb)")
        } else {
            Output.errorText(message + "\n")
        }
        exit(ExitStatus.usage.rawValue)
    }

    /// What to say where the first word is no verb; the argument parser only calls it unexpected. Nil where it is one.
    private static func unknownVerb() -> String? {
        var words = CommandLine.arguments.dropFirst()
        while let word = words.first, word.hasPrefix("-") {
            guard word == "--json" || word.hasPrefix("--socket") else { return nil }
            words = words.dropFirst(word == "--socket" ? 2 : 1)
        }
        let verbs = Lockerctl.configuration.subcommands.compactMap { verb in
            verb.configuration.commandName
        }
        guard let word = words.first, word != "help", !verbs.contains(word) else { return nil }
        let near = Nearest.word(to: word, among: verbs)
        return "no verb \"\(word)\"; "
            + (near.map { "did you mean \($0)?" } ?? "there are \(verbs.joined(separator: ", "))")
    }
}
