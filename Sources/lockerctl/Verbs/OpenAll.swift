import ArgumentParser
import ControlClient
import Glibc

struct OpenAllVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "open-all",
        abstract: "Open all lockers of the site, of a controller or of a bank.",
        discussion: """
            Asks before it opens anything, unless --yes is given. Ctrl-C cancels what has not been fired yet.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "Only this controller's lockers.", completion: Completions.controllers)
    var controller: String?

    @Option(help: "Only this bank's lockers.", completion: Completions.banks)
    var bank: String?

    @Flag(help: "Do not ask.")
    var yes = false

    @Flag(help: "Open also what is out of service.")
    var includeOutOfService = false

    @OptionGroup var options: TermsOptions

    func validate() throws {
        if controller != nil, bank != nil {
            throw ValidationError("give --controller or --bank, not both")
        }
    }

    func execute() async throws {
        let canAsk = isatty(STDIN_FILENO) == 1 && Output.isErrorTerminal
        guard yes || canAsk else {
            throw Failure(
                .usage,
                "open-all wants --yes where there is no terminal to ask on; nothing was opened")
        }
        let session = try await Session.start(global)
        let estimate = try await estimate(session)
        if !yes {
            try await askConsent(session, estimate)
        } else if let estimate, Output.isErrorTerminal, !global.json {
            Output.error("opening takes \(estimate)")
        }
        let run = OpenAllRun(session: session)
        let result = try await run.finish(command, waitMs: options.waitMs)
        if global.json { Output.line(result.json) }
        try OpenAllReport(result: result, cancelled: run.cancelled).print(quiet: global.json)
    }

    private var command: OpenAllCommand {
        OpenAllCommand(
            controller: controller, bank: bank, terms: options.terms,
            includesOutOfService: includeOutOfService)
    }

    /// How long it will take, in words; nil where nobody would see it or the daemon cannot tell.
    @MainActor
    private func estimate(_ session: Session) async throws(Failure) -> String? {
        // An older daemon is never sent what it might not understand: it is about every door of the site.
        guard Output.isErrorTerminal, !global.json, let daemon = session.daemon,
            daemon.canPlanOpenAll
        else {
            return nil
        }
        let command = command
        let plan: OpenAllPlan
        do throws(Failure) {
            plan = try await session.attempt { client throws(ControlError) in
                try await client.planOpenAll(command)
            }
        } catch {
            // Whoever has said yes already waits for no figure.
            if yes { return nil }
            throw error
        }
        let skipped = plan.skipped > 0 ? ", \(plan.skipped) of \(plan.total) left alone" : ""
        return "at least \(Words.longSpan(plan.estimateMs))\(skipped)"
    }

    @MainActor
    private func askConsent(_ session: Session, _ estimate: String?) async throws(Failure) {
        let scope = StatusScope(controller: controller, bank: bank)
        let status = try await session.attempt { client throws(ControlError) in
            try await client.status(scope)
        }
        let place =
            if let controller { "controller \(controller)" } else if let bank {
                "bank \(bank)"
            } else {
                "the whole site"
            }
        let count = Words.count(status.lockers.count, "locker")
        let time = estimate.map { " (\($0))" } ?? ""
        Output.errorText(Output.clean("Open \(place) of \(status.site), \(count)\(time)? [y/N] "))
        let answer = readLine(strippingNewline: true)?.lowercased()
        guard answer == "y" || answer == "yes" else {
            throw Failure(.failed, "nothing was opened")
        }
    }
}
