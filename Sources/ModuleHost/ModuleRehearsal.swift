import LockerKit
import Logging
import ModuleWire
package import SiteModel

/// Asks a driver what it thinks of a link, in a process of its own that is ended afterwards. No hardware is touched: the
/// controllers are made and never started.
package enum ModuleRehearsal {
    /// What the driver says.
    package struct Opinion: Sendable, Equatable {
        /// Why the link could not be served as it is written; nil where it could.
        package var objection: String?
        /// What an installer should know all the same.
        package var remarks: [String] = []
    }

    /// The opinion of the link's driver. Has to be asked only where the module was found and vetted.
    package static func opinion(
        of link: LinkPlan, daemonVersion: String = "check"
    ) async -> Opinion {
        guard let module = link.module else { return Opinion() }
        let subject = ModuleSubject(module: module, name: link.name)
        // Whoever checks a configuration wants the answer, not the module's log.
        let silent = Logger(label: "check") { _ in SwiftLogNoOpLogHandler() }
        do throws(StartFailure) {
            let session = try await ModuleSession.launch(
                subject, logger: silent, clock: ContinuousClock(), loops: ModuleSession.ownLoops)
            let opinion = await ask(session, link, daemonVersion)
            await session.retire()
            return opinion
        } catch {
            return Opinion(objection: objection(subject, error))
        }
    }

    private static func ask(
        _ session: ModuleSession, _ link: LinkPlan, _ daemonVersion: String
    ) async -> Opinion {
        do throws(StartFailure) {
            _ = try await session.ask(
                .hello,
                HelloParams(
                    daemon: "lockerd", daemonVersion: daemonVersion,
                    kind: session.subject.module.kind.rawValue, name: link.name,
                    logLevel: Logger.Level.error.rawValue
                ).json, within: ModuleDeadlines.hello)
            let reply = try await session.ask(
                .configure, ConfigureDriverParams(link).json, within: ModuleDeadlines.configure)
            do throws(WireError) {
                let remarks = try ConfigureDriverResult(json: reply).remarks
                return Opinion(
                    remarks: remarks.prefix(ModuleLimits.remarks).map { LogLines.printable($0) })
            } catch {
                return Opinion(
                    objection: "\(session.subject.title) answered configure wrongly: \(error)")
            }
        } catch {
            return Opinion(objection: objection(session.subject, error))
        }
    }

    private static func objection(_ subject: ModuleSubject, _ failure: StartFailure) -> String {
        "\(subject.title) \(LogLines.printable(failure.reason))"
    }
}
