import Glibc
import JSONLines
import SiteConfig
import SiteModel

/// The other level that might fire, in the link file for as long as it is tried; whatever ends the trial puts the file back.
@MainActor
final class LevelTrial {
    private(set) var editor: LinkFileEditor
    /// While it lives, Ctrl-C puts the file back before it ends the program.
    private var signals: Signals?

    /// Whether the file says at this moment what is only tried.
    var isInTheFile: Bool { signals != nil }

    init(_ editor: LinkFileEditor) { self.editor = editor }

    /// Writes the other level for the controller and for each locker that has one of its own.
    func begin(_ level: String, of plan: ControllerPlan) throws(Failure) {
        do throws(LinkFileEditor.Refusal) {
            try editor.set("fires_at", .string(level), of: plan.id)
            for locker in plan.lockers {
                guard let own = locker.options["fires_at"]?.stringValue else { continue }
                try editor.set(
                    "fires_at", .string(own == "high" ? "low" : "high"), of: plan.id,
                    locker: locker.number)
            }
        } catch {
            throw Failure(.failed, error.description)
        }
        // Before it is written: whenever the signal comes, it finds the file as it was or as it is written here.
        let written = editor.written
        signals = Signals([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { number in
            var copy = written
            do throws(LinkFileEditor.Refusal) {
                try copy.restore()
                Output.error(
                    "lockerctl: interrupted; \(copy.path) says again what it said; `lockerctl reload` tells lockerd"
                )
            } catch {
                Output.error("lockerctl: interrupted; \(error.description)")
            }
            exit(128 + number)
        }
        do throws(LinkFileEditor.Refusal) {
            try editor.write()
        } catch {
            signals = nil
            throw Failure(.failed, error.description)
        }
    }

    /// Puts the file back as it was.
    func undo() throws(Failure) {
        guard isInTheFile else { return }
        do throws(LinkFileEditor.Refusal) {
            try editor.restore()
        } catch {
            throw Failure(.failed, error.description)
        }
        signals = nil
    }

    /// The file is somebody else's concern from now on.
    func end() { signals = nil }
}
